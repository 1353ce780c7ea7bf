#!/bin/sh
# Says how much of src, kernels and quantize the tests ran that ran in a build with
# -Db_coverage=true; fails when one of them is below 90 % of its lines.
#
#   sh scripts/coverage.sh BUILD
#
# docs/CONTRIBUTING.md says what is not covered and why.
set -u
cd "$(dirname "$0")/.." || exit 1
report=$1/coverage.csv

gcovr --root . --gcov-ignore-parse-errors --object-directory "$1" --filter 'src/' --filter 'kernels/' --filter 'quantize/' \
  --csv "$report" "$1" || exit 1

awk -F, -v needed=90 '
  NR == 1 { next }
  {
    folder = $1
    sub(/\/.*/, "", folder)
    lines[folder] += $2
    covered[folder] += $3
    printf "%6.1f %%  %5d of %5d lines  %s\n", 100 * $3 / ($2 ? $2 : 1), $3, $2, $1
  }
  END {
    for (folder in lines) {
      share = 100 * covered[folder] / lines[folder]
      printf "%6.1f %%  %5d of %5d lines  all of %s\n", share, covered[folder], lines[folder], folder
      if (share < needed) below++
      folders++
    }
    if (folders != 3) print "expected files of three folders, found those of " folders
    exit folders != 3 || below > 0
  }' "$report"
