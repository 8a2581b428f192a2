// Data sets that are too large to come with gradus: `gradus data get NAME` takes a Debian package, checks what is in it and unpacks it
// into the data folder as plain IDX files. Experiments read them from there.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <gradus/nn/data/dataset.h>

namespace gradus::experiments {

/// A set that can be fetched.
struct FetchedSet {
  const char* name;
  const char* package;  // of Debian and Ubuntu
  const char* tested;   // the package's version and SHA-256 that the files below were made from
  const char* package_sha256;
  double download_megabytes, megabytes;
  const char* content;  // a phrase
  const char* origin;
  const char* licence;
  const char* sha256;  // of the set's SHA256SUMS: what any version of the package must give
  std::vector<std::string> (*convert)(const std::string& unpacked, const std::string& folder);  // makes the files, returns their names
};
const std::vector<FetchedSet>& fetched_sets();
/// Throws ValueError naming the sets there are.
const FetchedSet& find_fetched_set(const std::string& name);

/// DIR/NAME
std::string folder_of(const FetchedSet& set, const std::string& data_dir);
/// True if the set is there, as far as its list of files says.
bool is_fetched(const FetchedSet& set, const std::string& data_dir);
/// Fetches the set; `say` gets one line for each thing done. A set that is there and whole is left alone; a package that was downloaded
/// before is used again. Throws IoError; what was there before stays.
void fetch(const FetchedSet& set, const std::string& data_dir, const std::function<void(const std::string&)>& say);

// The sets, read. Each throws IoError naming the missing file and the command that gets it.

/// Fashion-MNIST: 60,000 training and 10,000 test images, f32 [N, 1, 28, 28] in 0 .. 1, 10 classes.
Split fashion_mnist(const std::string& data_dir);
/// The glosses of WordNet 3.0, one a line: u8 [bytes].
Tensor wordnet_glosses(const std::string& data_dir);
/// A table of FANN ("building", "robot", "mushroom", ...): inputs f32 [N, D], targets f32 [N, K], in the package's two halves.
Split fann_table(const std::string& data_dir, const std::string& table);

// The conversions, apart from files, for tests. `name` stands for the file in error texts.

struct FannTable {
  Tensor inputs, targets;
};
/// "rows inputs targets", then a line of inputs and a line of targets for each row. Throws IoError naming line and both numbers.
FannTable parse_fann(const std::string& text, const std::string& name);
/// What stands behind the bar of each line of a WordNet data file, a line each; lines that begin with two blanks are the licence.
/// Throws IoError for a line without a bar.
std::string parse_glosses(const std::string& text, const std::string& name);

}  // namespace gradus::experiments
