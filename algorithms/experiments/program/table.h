// Tables of text on a terminal.
#pragma once

#include <string>
#include <vector>

namespace gradus::experiments {

/// Rows of cells; the first row is the head. Columns are as wide as their widest cell.
///
///     Table table({"", "simclr", "raw_pixels"});
///     table.row({"fs1", "80.2", "54.9"});
///     std::cout << table.text();
class Table {
 public:
  explicit Table(std::vector<std::string> head) { rows_.push_back(std::move(head)); }
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  /// A line between groups of rows.
  void rule() { rows_.emplace_back(); }
  /// The columns from `first` on are right-aligned (default: all but the first).
  void align_right_from(std::size_t first) { first_right_ = first; }
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
  std::size_t first_right_ = 1;
};

}  // namespace gradus::experiments
