// The vendored sets, decoded from the IDX files that are compiled in.
#include <gradus/nn/data/vendored.h>

#include <algorithm>

#include <gradus/algorithms/experiments/data/embedded.h>
#include <gradus/algorithms/experiments/data/sha256.h>
#include <gradus/nn/data/idx.h>

namespace gradus::inline v0 {
namespace {

const char* const kUci = "UCI repository, through scikit-learn 1.2.1";
const char* const kUciLicence = "CC BY 4.0";
const char* const kPublicDomain = "public domain";

std::span<const unsigned char> file(const std::string& name) {
  const auto files = experiments::embedded_files();
  const auto found = std::find_if(files.begin(), files.end(), [&](const auto& f) { return f.name == name; });
  if (found == files.end()) raise_io("[data] the file " + name + " is not compiled in");
  return found->bytes;
}

// The set of NAME-inputs.idx and, where it has labels, NAME-targets.idx. Its SHA-256 is that of the two files, one after the other.
Dataset load(const std::string& name, bool has_targets, std::vector<std::string> classes, const char* origin, const char* licence) {
  const auto inputs = file(name + "-inputs.idx");
  experiments::Sha256 hash;
  hash.add(inputs);
  Tensor targets;
  if (has_targets) {
    const auto bytes = file(name + "-targets.idx");
    hash.add(bytes);
    targets = read_idx(bytes, name + "-targets.idx");
  }
  Dataset data = make_dataset(read_idx(inputs, name + "-inputs.idx"), targets, std::move(classes));
  data.name = name;
  data.origin = origin;
  data.licence = licence;
  data.sha256 = hash.hex();
  return data;
}

// Counts of black pixels, 0 .. 16 (u8 [N, 8, 8]), as images with one channel in 0 .. 1.
Dataset load_digits() {
  Dataset data = load("digits", true, {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}, kUci, kUciLicence);
  const auto counts = data.inputs.values<std::uint8_t>();
  std::vector<float> pixels(counts.size());
  std::transform(counts.begin(), counts.end(), pixels.begin(), [](std::uint8_t count) { return static_cast<float>(count) / 16; });
  data.inputs = Tensor::from(pixels, {data.size(), 1, 8, 8});
  return data;
}

}  // namespace

const Dataset& digits() {
  static const Dataset data = load_digits();
  return data;
}

const Dataset& iris() {
  static const Dataset data =
      load("iris", true, {"setosa", "versicolor", "virginica"}, "R. A. Fisher 1936, through scikit-learn 1.2.1", kUciLicence);
  return data;
}

const Dataset& wine() {
  static const Dataset data = load("wine", true, {"class_0", "class_1", "class_2"}, kUci, kUciLicence);
  return data;
}

const Dataset& breast_cancer() {
  static const Dataset data = load("breast_cancer", true, {"malignant", "benign"}, kUci, kUciLicence);
  return data;
}

const Dataset& diabetes() {
  static const Dataset data = load("diabetes", true, {}, "Efron et al. 2004, through scikit-learn 1.2.1", "BSD-3-Clause");
  return data;
}

const Dataset& linnerud() {
  static const Dataset data = load("linnerud", true, {}, "A. C. Linnerud, through scikit-learn 1.2.1", "BSD-3-Clause");
  return data;
}

const Dataset& sunspots() {
  static const Dataset data = load("sunspots", false, {}, "NGDC (NOAA), through statsmodels 0.13.5", kPublicDomain);
  return data;
}

const Dataset& co2() {
  static const Dataset data = load("co2", false, {}, "Keeling and Whorf 2004, through statsmodels 0.13.5", kPublicDomain);
  return data;
}

const Dataset& elnino() {
  static const Dataset data = load("elnino", false, {}, "NOAA, ERSST.V3B, through statsmodels 0.13.5", kPublicDomain);
  return data;
}

}  // namespace gradus::inline v0
