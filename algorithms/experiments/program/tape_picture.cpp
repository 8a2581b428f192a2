// The picture of a tape. Its layout needs no graph library: entries are in topological order, so an entry's height is its index, and a
// value's column is the first that is free from its birth to its last use.
#include <algorithm>
#include <cmath>
#include <map>

#include <gradus/algorithms/experiments/program/format.h>
#include <gradus/algorithms/experiments/program/tape_view.h>

namespace gradus::experiments {
namespace {

constexpr double kRow = 22;   // height of an entry
constexpr double kLane = 16;  // width of a column of values
constexpr double kTop = 84;   // title and heads
constexpr double kLeft = 28;
constexpr double kBar = 110;  // the longest bar of saved bytes
const char* const kPalette[] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"};

struct Life {  // of a value, in entries
  std::size_t born, last_use, lane = 0;
};

struct Layout {
  std::vector<TapeRow> entries;       // without the watched ones
  std::map<std::string, Life> lives;  // by the value's name
  std::size_t lanes = 0;
};

Layout layout_of(const std::vector<TapeRow>& rows) {
  Layout layout;
  std::copy_if(rows.begin(), rows.end(), std::back_inserter(layout.entries), [](const TapeRow& row) { return !row.watched; });
  for (std::size_t i = 0; i < layout.entries.size(); ++i) {
    layout.lives[layout.entries[i].result] = {i, i};
    for (const std::string& input : layout.entries[i].inputs) {
      const auto life = layout.lives.find(input);
      if (life != layout.lives.end()) life->second.last_use = i;
    }
  }
  std::vector<std::size_t> free_from;  // by lane: the first entry at which it is free
  for (const TapeRow& entry : layout.entries) {
    Life& life = layout.lives[entry.result];
    // A value may take over the column of one whose last use is this entry.
    const auto lane = std::find_if(free_from.begin(), free_from.end(), [&](std::size_t row) { return row <= life.born; });
    life.lane = static_cast<std::size_t>(lane - free_from.begin());
    if (lane == free_from.end()) free_from.push_back(0);
    free_from[life.lane] = std::max(life.last_use, life.born + 1);
  }
  layout.lanes = free_from.size();
  return layout;
}

std::string number(double v) { return fixed(v, 1); }
std::string colour(const Life& life) { return kPalette[life.lane % std::size(kPalette)]; }
double x_of(const Life& life) { return kLeft + static_cast<double>(life.lane) * kLane; }
double y_of(std::size_t row) { return kTop + kRow * (static_cast<double>(row) + 0.5); }

std::string text_at(double x, double y, const std::string& text, const std::string& attributes) {
  return "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" " + attributes + ">" + escaped(text) + "</text>\n";
}

// A value runs down its column and bends into the entry that reads it.
std::string edge(const Life& value, std::size_t reader, const Life& result) {
  const double x = x_of(value), top = y_of(value.born), bend = y_of(reader) - kRow * 0.7;
  std::string path = "M" + number(x) + " " + number(top) + "L" + number(x) + " " + number(std::max(top, bend));
  path += "C" + number(x) + " " + number(y_of(reader)) + " " + number(x_of(result)) + " " + number(bend) + " " + number(x_of(result)) +
          " " + number(y_of(reader));
  return "<path d=\"" + path + "\" fill=\"none\" stroke=\"" + colour(value) + "\" stroke-width=\"1.6\"/>\n";
}

std::string joined_constants(const TapeRow& entry, const Layout& layout) {
  std::vector<std::string> names;
  for (const std::string& input : entry.inputs)
    if (!layout.lives.count(input) && input != "const") names.push_back(input);
  return joined(names, " ");
}

struct Columns {
  double op, type, bytes, time, path, width;
};

Columns columns_of(const Layout& layout) {
  std::size_t longest_type = 6, longest_op = 22;  // room for the heads
  for (const TapeRow& entry : layout.entries) {
    longest_type = std::max(longest_type, entry.type.size());
    longest_op = std::max(longest_op, entry.op.size() + joined_constants(entry, layout).size() + 2);
  }
  Columns c{};
  c.op = kLeft + static_cast<double>(layout.lanes) * kLane + 8;
  c.type = c.op + static_cast<double>(longest_op) * 7 + 16;  // 7 pixels a character
  c.bytes = c.type + static_cast<double>(longest_type) * 6.6 + 16;
  c.time = c.bytes + kBar + 90;
  c.path = c.time + 60;
  c.width = std::max(700.0, c.path + 100);
  return c;
}

std::string row_text(const TapeRow& entry, std::size_t row, const Layout& layout, const Columns& c, double bytes_scale) {
  const double y = y_of(row) + 4;
  const std::string constants = joined_constants(entry, layout);
  std::string out = "<text x=\"" + number(c.op) + "\" y=\"" + number(y) + "\" fill=\"#202124\"><tspan font-weight=\"600\">" +
                    escaped(entry.op) + "</tspan><tspan dx=\"6\" fill=\"#5F6368\">" + escaped(constants) + "</tspan></text>\n";
  out += text_at(c.type, y, entry.type, "fill=\"#3C4043\"");
  if (entry.saved_bytes > 0) {
    const double width = std::max(1.0, static_cast<double>(entry.saved_bytes) * bytes_scale);
    out += "<rect x=\"" + number(c.bytes) + "\" y=\"" + number(y - 11) + "\" width=\"" + number(width) +
           "\" height=\"13\" rx=\"2\" fill=\"#9AA0A6\"/>\n";
    out += text_at(c.bytes + width + 5, y, byte_count(static_cast<double>(entry.saved_bytes)), "fill=\"#5F6368\" font-size=\"11\"");
  }
  if (entry.microseconds > 0) out += text_at(c.time + 36, y, fixed(entry.microseconds, 1), "text-anchor=\"end\" fill=\"#5F6368\"");
  if (!entry.path.empty()) out += text_at(c.path, y, entry.path, "fill=\"#5F6368\" font-size=\"11\"");
  return out;
}

std::string heads(const Columns& c) {
  const std::string grey = "fill=\"#5F6368\" font-size=\"11\"";
  return text_at(c.op, kTop - 8, "op, watched tensors it reads", grey) + text_at(c.type, kTop - 8, "result", grey) +
         text_at(c.bytes, kTop - 8, "saved for the sweep", grey) + text_at(c.time + 36, kTop - 8, "µs", grey + " text-anchor=\"end\"");
}

}  // namespace

std::string tape_svg(const std::vector<TapeRow>& rows, const std::string& title) {
  const Layout layout = layout_of(rows);
  const Columns columns = columns_of(layout);
  const double height = kTop + kRow * static_cast<double>(layout.entries.size()) + 24;
  std::int64_t most = 1, total = 0;
  for (const TapeRow& entry : layout.entries) most = std::max(most, entry.saved_bytes), total += entry.saved_bytes;
  const std::string size = "width=\"" + fixed(columns.width, 0) + "\" height=\"" + fixed(height, 0) + "\"";
  std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + fixed(columns.width, 0) + " " + fixed(height, 0) + "\" " +
                    size + " role=\"img\" font-family=\"Helvetica Neue, Helvetica, Arial, sans-serif\" font-size=\"12\">\n<title>" +
                    escaped(title) + "</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#FFFFFF\"/>\n";
  out += text_at(24, 32, title, "font-size=\"17\" font-weight=\"600\" fill=\"#202124\"");
  out += text_at(24, 51,
                 std::to_string(layout.entries.size()) + " entries, " + byte_count(static_cast<double>(total)) +
                     " saved for the backward sweep",
                 "fill=\"#5F6368\"") +
         heads(columns);
  for (std::size_t row = 0; row < layout.entries.size(); ++row)
    for (const std::string& input : layout.entries[row].inputs) {
      const auto value = layout.lives.find(input);
      if (value != layout.lives.end()) out += edge(value->second, row, layout.lives.at(layout.entries[row].result));
    }
  for (std::size_t row = 0; row < layout.entries.size(); ++row) {
    const Life& life = layout.lives.at(layout.entries[row].result);
    out += "<circle cx=\"" + number(x_of(life)) + "\" cy=\"" + number(y_of(row)) + "\" r=\"4\" fill=\"" + colour(life) + "\"/>\n";
    out += row_text(layout.entries[row], row, layout, columns, kBar / static_cast<double>(most));
  }
  return out + "</svg>\n";
}

}  // namespace gradus::experiments
