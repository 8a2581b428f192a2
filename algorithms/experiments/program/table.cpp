#include <gradus/algorithms/experiments/program/table.h>

#include <algorithm>
#include <numeric>

#include <gradus/algorithms/experiments/program/format.h>

namespace gradus::experiments {
namespace {
constexpr std::size_t kGap = 2;  // blanks between columns
}

std::string Table::text() const {
  std::vector<std::size_t> widths(rows_[0].size());
  for (const auto& row : rows_)
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], display_width(row[c]));
  const std::size_t total = std::accumulate(widths.begin(), widths.end(), kGap * (widths.size() - 1));

  std::string out;
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    std::string line = "  ";
    for (std::size_t c = 0; c < rows_[r].size(); ++c) {
      const std::string padding(widths[c] - display_width(rows_[r][c]), ' ');
      if (c > 0) line += std::string(kGap, ' ');
      line += c >= first_right_ ? padding + rows_[r][c] : rows_[r][c] + padding;
    }
    if (rows_[r].empty()) line += std::string(total, '-');
    line.resize(line.find_last_not_of(' ') + 1);
    out += line + "\n";
    if (r == 0) out += "  " + std::string(total, '-') + "\n";
  }
  return out;
}

}  // namespace gradus::experiments
