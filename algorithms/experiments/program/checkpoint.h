// How a training loop names what must be saved: a visit, as a module lists its members. The library's Checkpoint (nn/serialize.h) does
// the work; this adds the loader.
//
//     const auto state = [&](Checkpoint& c) {
//       c("encoder", encoder);             // a module: parameters and buffers
//       c("adam", adam, encoder);          // an optimizer, with the module whose parameters it moves
//       c("loader", loader);               // its position
//       c("rng", rng);                     // Generator, std::int64_t, double, std::string, Tensor, vectors of numbers
//     };
#pragma once

#include <string>

#include <gradus/nn/data/loader.h>
#include <gradus/nn/serialize.h>

namespace gradus::experiments {

class Checkpoint {
 public:
  explicit Checkpoint(gradus::Checkpoint& parts) : parts_(parts) {}
  template <class... Part> void operator()(const std::string& name, Part&... part) { parts_.add(name, part...); }
  void operator()(const std::string& name, Loader& loader) { loader.add_to(parts_, name); }

 private:
  gradus::Checkpoint& parts_;
};

}  // namespace gradus::experiments
