// Each makes a set's IDX files in `folder` from its unpacked package and returns their names. Throws IoError.
#pragma once

#include <string>
#include <vector>

namespace gradus::experiments {

std::vector<std::string> convert_fashion_mnist(const std::string& unpacked, const std::string& folder);
std::vector<std::string> convert_wordnet(const std::string& unpacked, const std::string& folder);
std::vector<std::string> convert_fann(const std::string& unpacked, const std::string& folder);

}  // namespace gradus::experiments
