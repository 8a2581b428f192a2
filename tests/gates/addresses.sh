#!/usr/bin/env bash
# The tree names no machine's folders and no host but the ones below: papers, licences, formats. It is what a stranger clones.
set -euo pipefail
cd "${SOURCE:-$(dirname "$0")/../..}"

hosts='arxiv\.org|doi\.org|(dx\.)?doi\.org|www\.apache\.org|www\.w3\.org|creativecommons\.org|opensource\.org|json-schema\.org|example\.(org|com)|github\.com|archive\.ics\.uci\.edu|scikit-learn\.org|jmlr\.org|www\.jmlr\.org|openreview\.net|proceedings\.mlr\.press|papers\.nips\.cc|eigen\.tuxfamily\.org|huggingface\.co/docs|pytorch\.org'
files() { git ls-files -z --cached --others --exclude-standard -- ':!tests/gates/addresses.sh' 2>/dev/null | xargs -0 -r ls -d 2>/dev/null || true; }
list=$(files)
[ -n "$list" ] || { echo "SKIP: not a git checkout"; exit 77; }

bad=0
hits=$(grep -nIE '(^|[^[:alnum:]_.}/])/(work|root|home|mnt|srv|Users)/[[:alnum:]]' $list || true)
[ -z "$hits" ] || { echo "folders of one machine:"; echo "$hits"; bad=1; }
hits=$(grep -noIE "https?://[^] )>\"'\`]+" $list | grep -vE "https?://($hosts)([/:.,]|$)" || true)
[ -z "$hits" ] || { echo "hosts that tests/gates/addresses.sh does not list:"; echo "$hits"; bad=1; }
exit $bad
