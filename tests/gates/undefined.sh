#!/usr/bin/env bash
# The library never ends its host's process and never prints: its objects refer to nothing that does. Exceptions to the rule stand in
# allowed_undefined.txt, each with its reason.
set -euo pipefail
archive=$1
allowed=$(dirname "$0")/allowed_undefined.txt

# Mangled names, so that versions and parameter lists do not matter.
forbidden='abort|exit|_exit|_Exit|quick_exit|raise|kill|printf|vprintf|fprintf|vfprintf|puts|fputs|putchar|putc|fputc|perror|stdout|stderr'
forbidden+='|__assert_fail|__assert|__printf_chk|__fprintf_chk|__vfprintf_chk|_ZSt9terminatev|_ZSt4cout|_ZSt4cerr|_ZSt4clog'
forbidden+='|_ZSt5wcout|_ZNSt8ios_base4InitC1Ev|_ZSt21__glibcxx_assert_failPKciS0_S0_|_ZSt10unexpectedv'

# `object symbol`, one a line.
found=$(nm -u "$archive" 2>/dev/null | awk -v pattern="^($forbidden)$" '
  /:$/ { object = $1; sub(/:$/, "", object) }
  $1 == "U" && $2 ~ pattern { print object, $2 }' | sort -u)
bad=$(comm -23 <(echo "$found" | sed '/^$/d') <(sed 's/ *#.*//; /^$/d' "$allowed" | sort -u))
stale=$(comm -13 <(echo "$found" | sed '/^$/d') <(sed 's/ *#.*//; /^$/d' "$allowed" | sort -u))
[ -z "$bad" ] || { echo "references that end the process or print:"; echo "$bad"; }
[ -z "$stale" ] || { echo "allowed in $(basename "$allowed") but not there any more:"; echo "$stale"; }
[ -z "$bad$stale" ]
