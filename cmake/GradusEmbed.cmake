# gradus_embed_files(TARGET NAMESPACE FILES...): compiles the files' bytes into TARGET. The generated source defines
#
#     std::span<const EmbeddedFile> NAMESPACE::embedded_files();
#
# of the header that declares EmbeddedFile{std::string_view name; std::span<const unsigned char> bytes} for the program
# (algorithms/experiments/data/embedded.h). The assembler's .incbin reads a file as it is: nothing is generated but a dozen lines.
function(gradus_embed_files target namespace)
  set(symbols "")
  set(externs "")
  set(rows "")
  set(index 0)
  foreach(file ${ARGN})
    cmake_path(ABSOLUTE_PATH file)
    cmake_path(GET file FILENAME name)
    set(symbol gradus_embedded_${index})
    string(APPEND symbols "    \".balign 64\\n${symbol}_begin:\\n.incbin \\\"${file}\\\"\\n${symbol}_end:\\n\"\n")
    string(APPEND externs "extern const unsigned char ${symbol}_begin[], ${symbol}_end[];\n")
    string(APPEND rows "      {\"${name}\", {${symbol}_begin, ${symbol}_end}},\n")
    math(EXPR index "${index} + 1")
  endforeach()
  set(source ${CMAKE_CURRENT_BINARY_DIR}/${target}_embedded.cpp)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT
"// Made by gradus_embed_files.
#include <gradus/algorithms/experiments/data/embedded.h>

__asm__(
    \".pushsection .rodata\\n\"
@symbols@    \".popsection\\n\");

extern \"C\" {
@externs@}

namespace @namespace@ {

std::span<const EmbeddedFile> embedded_files() {
  static const EmbeddedFile files[] = {
@rows@  };
  return files;
}

}
")
  set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS "${ARGN}")
  target_sources(${target} PRIVATE ${source})
endfunction()
