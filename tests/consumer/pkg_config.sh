#!/usr/bin/env bash
# A bare compiler call with the flags of pkg-config, from a prefix that was moved after it was installed.
. "$(dirname "$0")/common.sh"
command -v pkg-config >/dev/null || { echo "SKIP: pkg-config is not here"; exit 77; }

install_library "$work/first"
mv "$work/first" "$work/moved"
export PKG_CONFIG_PATH=$(dirname "$(find "$work/moved" -name gradus.pc)")
pkg-config --modversion gradus
# shellcheck disable=SC2046
"$CXX" -std=c++20 -O2 "$here/example.cpp" $(pkg-config --cflags --libs gradus-data gradus) -o "$work/example"
"$work/example"

# What a small program pays for: only what it uses.
"$CXX" -std=c++20 -O2 "$here/example.cpp" $(pkg-config --cflags --libs gradus-data gradus) -Wl,--gc-sections -s -o "$work/small"
echo "the example, stripped: $(stat -c %s "$work/small") bytes"
