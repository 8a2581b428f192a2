#include <gradus/algorithms/experiments/program/log.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>

#include <gradus/algorithms/experiments/program/format.h>
#include <gradus/kernels/error.h>

namespace gradus::experiments {
namespace {

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells(1);
  for (const char c : line) {
    if (c == ',') cells.emplace_back();
    else cells.back() += c;
  }
  return cells;
}

template <class Number> bool read_number(const std::string& text, Number& value) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

}  // namespace

Log::Log(std::string path) : path_(std::move(path)) { rewrite(); }

Log::Log(std::string path, std::size_t rows, std::vector<std::string> columns) : path_(std::move(path)), columns_(std::move(columns)) {
  std::istringstream lines(read_file(path_));
  std::string line;
  std::getline(lines, line);
  const std::vector<std::string> found = cells_of(line);
  if (found.size() < columns_.size() + 1 || !std::equal(columns_.begin(), columns_.end(), found.begin() + 1))
    raise_io(path_ + " has the columns '" + line + "', its checkpoint has '" + joined(columns_, ",") + "'");
  while (rows_.size() < rows && std::getline(lines, line)) read_row(line, rows_.size() + 2);
  if (rows_.size() < rows)
    raise_io(path_ + " has " + std::to_string(rows_.size()) + " rows, its checkpoint counts " + std::to_string(rows));
  rewrite();
}

void Log::read_row(const std::string& line, std::size_t number) {
  const std::vector<std::string> cells = cells_of(line);
  Row row;
  bool readable = read_number(cells[0], row.step);
  for (std::size_t c = 1; c < cells.size() && c <= columns_.size(); ++c) {
    double value = NAN;
    const bool empty = cells[c].empty();
    readable = readable && (empty || read_number(cells[c], value));
    row.values.push_back(empty ? std::nullopt : std::optional<double>(value));
  }
  if (!readable) raise_io(path_ + " line " + std::to_string(number) + " is not a row of numbers: '" + line + "'");
  rows_.push_back(row);
}

std::size_t Log::column(const std::string& name) {
  const auto found = std::find(columns_.begin(), columns_.end(), name);
  if (found != columns_.end()) return static_cast<std::size_t>(found - columns_.begin());
  columns_.push_back(name);
  return columns_.size() - 1;
}

void Log::add(std::int64_t step, const std::vector<std::pair<std::string, double>>& values) {
  if (row_open_ && rows_.back().step != step) end_row();
  if (!row_open_) rows_.push_back({step, {}});
  row_open_ = true;
  Row& row = rows_.back();
  for (const auto& value : values) {
    const std::size_t c = column(value.first);
    row.values.resize(columns_.size());
    row.values[c] = as_written(value.second);
  }
}

void Log::end_row() {
  if (!row_open_) return;
  row_open_ = false;
  if (path_.empty()) return;
  if (columns_.size() != columns_written_) rewrite();
  else file_.append(text_of(rows_.back()));
}

void Log::sync() {
  if (!path_.empty()) file_.sync();
}

std::string Log::header() const {
  std::string text = "step";
  for (const std::string& column : columns_) text += "," + column;
  return text + "\n";
}

std::string Log::text_of(const Row& row) const {
  std::string text = std::to_string(row.step);
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    text += ",";
    if (c < row.values.size() && row.values[c]) text += shortest(*row.values[c]);
  }
  return text + "\n";
}

// A new column changes the header: the file is written again, whole, and then grows as before.
void Log::rewrite() {
  std::string text = header();
  for (const Row& row : rows_) text += text_of(row);
  write_file(path_, text);
  columns_written_ = columns_.size();
  file_ = AppendFile(path_);
}

Series Log::series(const std::string& name) const {
  Series series{.name = name};
  const auto column = static_cast<std::size_t>(std::find(columns_.begin(), columns_.end(), name) - columns_.begin());
  if (column == columns_.size()) raise_value("[log] no row has the metric '" + name + "'");
  for (const Row& row : rows_) {
    if (column >= row.values.size() || !row.values[column]) continue;
    series.x.push_back(static_cast<double>(row.step));
    series.y.push_back(*row.values[column]);
  }
  return series;
}

}  // namespace gradus::experiments
