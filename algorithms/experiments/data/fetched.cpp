#include <gradus/algorithms/experiments/data/fetched.h>

#include <algorithm>
#include <filesystem>

#include <unistd.h>

#include <gradus/algorithms/experiments/data/convert.h>
#include <gradus/algorithms/experiments/data/process.h>
#include <gradus/algorithms/experiments/data/sha256.h>
#include <gradus/algorithms/experiments/program/files.h>
#include <gradus/algorithms/experiments/program/format.h>
#include <gradus/nn/config.h>
#include <gradus/nn/data/idx.h>

namespace gradus::experiments {
namespace {

// Whether the folder's files are those of its SHA256SUMS, and this the one expected. `deep` reads them all.
bool is_whole(const FetchedSet& set, const std::string& folder, bool deep) {
  const std::string list = folder + "/SHA256SUMS";
  if (!exists(list)) return false;
  const std::string sums = read_file(list);
  if (sha256(sums) != set.sha256) return false;
  for (std::size_t at = 0; at < sums.size(); at = sums.find('\n', at) + 1) {
    const std::size_t end = sums.find('\n', at);
    const std::string path = folder + "/" + sums.substr(at + 66, end - at - 66);  // "<64 digits>  <name>"
    if (!exists(path) || (deep && sha256(read_file(path)) != sums.substr(at, 64))) return false;
  }
  return true;
}

std::string sums_of(const std::string& folder, std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  std::string sums;
  for (const std::string& name : names) sums += sha256(read_file(folder + "/" + name)) + "  " + name + "\n";
  return sums;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) out += (c == '"' || c == '\\' ? "\\" : "") + std::string(1, c);
  return out + "\"";
}

std::string manifest(const FetchedSet& set, const std::string& package_file, const std::string& package_sha256) {
  return "{\n  \"name\": " + quoted(set.name) + ",\n  \"content\": " + quoted(set.content) + ",\n  \"origin\": " + quoted(set.origin) +
         ",\n  \"licence\": " + quoted(set.licence) + ",\n  \"package\": " + quoted(package_file) +
         ",\n  \"package_sha256\": " + quoted(package_sha256) + ",\n  \"sha256\": " + quoted(set.sha256) + "\n}\n";
}

// The package file in `folder`, or "".
std::string package_in(const std::string& folder, const std::string& package) {
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind(package + "_", 0) == 0 && entry.path().extension() == ".deb") return name;
  }
  return "";
}

// apt-get writes NAME.deb.partial... beside nothing: the file has its name only when it is whole and its signature chain is checked.
std::string download(const FetchedSet& set, const std::string& folder, const std::function<void(const std::string&)>& say) {
  std::string file = package_in(folder, set.package);
  if (!file.empty()) {
    say("the package " + file + " is here from an earlier try");
    return file;
  }
  if (!has_tool("apt-get"))
    raise_io("[data] " + std::string(set.name) + " comes from the Debian package " + set.package +
             ", and there is no apt-get here; put the package file into " + folder + " and run the command again");
  std::vector<std::string> command{"apt-get", "-q", "download", set.package};
  if (::geteuid() == 0)
    command.insert(command.begin() + 1, {"-o", "APT::Sandbox::User=root"});  // else apt warns that it cannot change user
  try {
    run_tool(command, folder);
  } catch (const IoError&) {
    raise_io("[data] apt-get cannot download the package " + std::string(set.package) +
             ": is there a network, and has `apt-get update` been run?");
  }
  file = package_in(folder, set.package);
  if (file.empty()) raise_io("[data] apt-get has left no package " + std::string(set.package) + " in " + folder);
  return file;
}

void convert_package(const FetchedSet& set, const std::string& file, const std::string& staging,
                     const std::function<void(const std::string&)>& say) {
  const std::string unpacked = staging + "/unpacked", made = staging + "/made", package = staging + "/" + file;
  const std::string found = sha256(read_file(package));
  if (found != set.package_sha256)
    say("the package is not " + std::string(set.tested) + ", with which this was tested: what it holds is checked instead");
  say("unpacking and converting " + file);
  for (const std::string& folder : {unpacked, made}) {
    std::filesystem::remove_all(folder);
    make_folder(folder);
  }
  run_tool({"dpkg-deb", "-x", package, unpacked});
  const std::string sums = sums_of(made, set.convert(unpacked, made));
  if (sha256(sums) != set.sha256)
    raise_io("[data] " + file + " does not hold the data of " + set.name + ": the SHA-256 of its list of files is " + sha256(sums) +
             "; expected " + set.sha256);
  write_file(made + "/copyright", read_file(unpacked + "/usr/share/doc/" + set.package + "/copyright"));
  write_file(made + "/manifest.json", manifest(set, file, found));
  write_file(made + "/SHA256SUMS", sums);
}

Tensor read_set_file(const std::string& name, const std::string& data_dir, const std::string& file) {
  const FetchedSet& set = find_fetched_set(name);
  const std::string path = folder_of(set, data_dir) + "/" + file;
  if (!exists(path)) raise_io("[data] there is no file " + path + "; `gradus data get " + name + "` gets it");
  return read_idx(path);
}

Dataset described(Dataset data, const FetchedSet& set) {
  data.name = set.name;
  data.origin = set.origin;
  data.licence = set.licence;
  data.sha256 = set.sha256;
  return data;
}

Dataset fashion_part(const std::string& data_dir, const std::string& part) {
  const char* const classes[] = {"t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"};
  const Tensor images = read_set_file("fashion-mnist", data_dir, part + "-inputs.idx");
  Tensor pixels = Tensor::empty({images.size(0), 1, 28, 28});
  if (images.shape() != Shape{images.size(0), 28, 28})
    raise_io("[data] fashion-mnist " + part + "-inputs.idx has the shape " + to_string(images.shape()));
  const auto bytes = images.values<std::uint8_t>();
  std::transform(bytes.begin(), bytes.end(), TensorAccess::fresh(pixels).as<float>(),
                 [](std::uint8_t grey) { return static_cast<float>(grey) / 255; });
  Dataset data =
      make_dataset(pixels, read_set_file("fashion-mnist", data_dir, part + "-targets.idx"), {std::begin(classes), std::end(classes)});
  return described(data, find_fetched_set("fashion-mnist"));
}

}  // namespace

const std::vector<FetchedSet>& fetched_sets() {
  static const std::vector<FetchedSet> sets = {
      {"fashion-mnist", "dataset-fashion-mnist", "0.0~git20200523.55506a9-1",
       "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0", 30.9, 55.0, "60,000 + 10,000 images of clothes",
       "Zalando SE 2017", "MIT", "faddf324747492995eeefc2a78b70da02dc9d666faf4960045106cbeb4924486", convert_fashion_mnist},
      {"wordnet", "wordnet-base", "1:3.0-37", "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752", 6.5, 9.0,
       "117,659 glosses of words", "Princeton University 2006", "WordNet 3.0",
       "cbde2c900af1f5593f5bb1414d507e7eaba6322afa1b91e9c8338aebfe348e92", convert_wordnet},
      {"fann", "libfann-doc", "2.2.0+ds-8", "6356ba5d5ba33482af3248541ef06b064c4b7fbf793556e0e99b1f5b78a6061d", 1.6, 10.6,
       "12 tables of Proben1 and DELVE", "FANN 2.2.0, examples", "LGPL-2.1+",
       "5af485bbaf335922f17da74dd5db14472d9fe52e0980e5526bec8d9af0089047", convert_fann}};
  return sets;
}

const FetchedSet& find_fetched_set(const std::string& name) {
  std::vector<std::string> names;
  for (const FetchedSet& set : fetched_sets()) {
    if (set.name == name) return set;
    names.emplace_back(set.name);
  }
  raise_value("there is no data set '" + name + "' to get; there are " + joined(nearest_first(name, names), ", "));
}

std::string folder_of(const FetchedSet& set, const std::string& data_dir) { return data_dir + "/" + set.name; }

bool is_fetched(const FetchedSet& set, const std::string& data_dir) { return is_whole(set, folder_of(set, data_dir), false); }

void fetch(const FetchedSet& set, const std::string& data_dir, const std::function<void(const std::string&)>& say) {
  const std::string folder = folder_of(set, data_dir), staging = folder + ".part";
  if (is_whole(set, folder, true)) return say(std::string(set.name) + " is in " + folder + ", whole");
  say(std::string(set.name) + ": downloads the package " + set.package + " (" + fixed(set.download_megabytes, 1) + " MB) and keeps " +
      fixed(set.megabytes, 1) + " MB in " + folder);
  make_folder(staging);
  const std::string file = download(set, staging, say);
  try {
    convert_package(set, file, staging, say);
  } catch (const Error&) {
    remove_file(staging + "/" + file);  // the next try downloads it anew
    throw;
  }
  std::filesystem::remove_all(folder);
  std::filesystem::rename(staging + "/made", folder);
  std::filesystem::remove_all(staging);
  say(std::string(set.name) + " is in " + folder);
}

Split fashion_mnist(const std::string& data_dir) {
  Split split{fashion_part(data_dir, "train"), fashion_part(data_dir, "test")};
  // Ids of test samples follow those of the training samples: an id names one image.
  Tensor ids = Tensor::empty({split.test.size()}, DType::i64);
  auto* id = TensorAccess::fresh(ids).as<std::int64_t>();
  for (std::int64_t i = 0; i < split.test.size(); ++i) id[i] = split.train.size() + i;
  split.test.sample_ids = ids;
  return split;
}

Tensor wordnet_glosses(const std::string& data_dir) { return read_set_file("wordnet", data_dir, "glosses.idx"); }

Split fann_table(const std::string& data_dir, const std::string& table) {
  const auto half = [&](const std::string& name) {
    const std::string start = table + "-" + name;
    Dataset data =
        make_dataset(read_set_file("fann", data_dir, start + "-inputs.idx"), read_set_file("fann", data_dir, start + "-targets.idx"), {});
    data = described(data, find_fetched_set("fann"));
    data.name = table;
    return data;
  };
  return {half("train"), half("test")};
}

}  // namespace gradus::experiments
