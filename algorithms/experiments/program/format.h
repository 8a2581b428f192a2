// Numbers and text as strings, the same on every machine: no locale, no dates.
#pragma once

#include <string>
#include <vector>

namespace gradus::experiments {

/// The shortest text that reads back as the same number. A value that is exactly a float is written as one: 0.1f is "0.1".
std::string shortest(double value);
/// The number that shortest() writes. A float is written with the fewest digits that tell it from other floats, which as a double are
/// another number: whoever computes with a figure must see the one that is in the file, or a resumed run would differ from an unbroken one.
double as_written(double value);
/// With `decimals` digits after the point; never "-0".
std::string fixed(double value, int decimals);
/// For people: four significant digits, "-" for NaN.
std::string readable(double value);
/// "0.4 s", "41 s", "3 min 20 s", "2 h 05 min"
std::string duration(double seconds);
/// "115 KB", "31 MB"
std::string byte_count(double bytes);
/// With <, >, &, " and ' replaced, for XML and HTML.
std::string escaped(const std::string& text);
std::string joined(const std::vector<std::string>& parts, const std::string& separator);
/// Cells on the screen: code points of UTF-8 text.
std::size_t display_width(const std::string& text);

}  // namespace gradus::experiments
