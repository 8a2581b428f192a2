#!/usr/bin/env bash
# Every source is formatted as `./dev format` leaves it.
set -euo pipefail
cd "${SOURCE:?}"
exec ./dev format --check
