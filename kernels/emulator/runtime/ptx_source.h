// From a line of PTX to the line of the .cu that it was made of.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gradus::emulator::runtime {

/// "FILE.cu:LINE" by the .loc before that line of the text (1 = first), "" where there is none. Of code inlined from the toolkit's headers:
/// the user's line that called it.
std::string source_of_ptx_line(std::string_view text, std::uint32_t line);

/// A load error ("ptx line 31: unsupported ...") as "FILE.cu:LINE: error: ptx line 31: ...".
std::string with_source(std::string_view text, const std::string& message);

}  // namespace gradus::emulator::runtime
