// log.csv: one row per logged step, the step first, then the metrics. Kept in memory too, for the curves.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gradus/algorithms/experiments/program/files.h>
#include <gradus/algorithms/experiments/program/svg.h>

namespace gradus::experiments {

class Log {
 public:
  /// Without a path, rows are only kept in memory.
  Log() = default;
  /// Starts an empty log at `path`.
  explicit Log(std::string path);
  /// Continues the log at `path` after its first `rows` rows and `columns`: what follows was logged after the checkpoint and is dropped.
  /// Throws IoError if the file has fewer rows or other columns.
  Log(std::string path, std::size_t rows, std::vector<std::string> columns);

  /// Adds values to the row of `step`, the last one or a new one. A metric that is new gets a column; rows without it have an empty cell
  /// there.
  void add(std::int64_t step, const std::vector<std::pair<std::string, double>>& values);
  /// The last row is complete: writes it, if that has not been done. The next add() begins a new row.
  void end_row();
  void sync();

  std::size_t rows() const { return rows_.size(); }
  const std::vector<std::string>& columns() const { return columns_; }
  /// One metric against the step, rows without it left out.
  Series series(const std::string& name) const;

 private:
  struct Row {
    std::int64_t step = 0;
    std::vector<std::optional<double>> values = {};  // by column; may be shorter
  };
  std::size_t column(const std::string& name);
  std::string header() const;
  std::string text_of(const Row& row) const;
  void read_row(const std::string& line, std::size_t number);
  void rewrite();

  std::string path_;
  std::vector<std::string> columns_;
  std::vector<Row> rows_;
  std::size_t columns_written_ = 0;
  bool row_open_ = false;  // the last row is not in the file yet
  AppendFile file_;
};

}  // namespace gradus::experiments
