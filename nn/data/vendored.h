// Small real data sets that come with gradus, compiled into a library of their own: link gradus::data to use them. They need no file and
// no network. Origins and licences are in each set and in algorithms/experiments/data/NOTICE.
//
//     Batch batch = digits().sample(64, rng);
#pragma once

#include <gradus/nn/data/dataset.h>

namespace gradus::inline v0 {

// Each set is decoded at its first use and shared from then on. Tables are as measured: not scaled.

const Dataset& digits();         ///< 1,797 handwritten digits: f32 [N, 1, 8, 8] in 0 .. 1, 10 classes
const Dataset& iris();           ///< 150 flowers: f32 [N, 4] in cm, 3 species
const Dataset& wine();           ///< 178 wines: f32 [N, 13], 3 cultivators
const Dataset& breast_cancer();  ///< 569 tumours: f32 [N, 30], malignant or benign
const Dataset& diabetes();       ///< 442 patients: f32 [N, 10], targets f32 [N, 1] (disease progression after a year)
const Dataset& linnerud();       ///< 20 men: f32 [N, 3] exercises, targets f32 [N, 3] (weight, waist, pulse)

const Dataset& sunspots();  ///< yearly number 1700-2008: f32 [309], no labels
const Dataset& co2();       ///< weekly CO2 at Mauna Loa 1958-2001 in ppmv: f32 [2284], NaN in 59 weeks without a measurement, no labels
const Dataset& elnino();    ///< monthly sea surface temperature 1950-2010 in degrees Celsius: f32 [61, 12], no labels

}  // namespace gradus::inline v0
