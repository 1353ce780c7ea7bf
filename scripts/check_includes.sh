#!/bin/sh
# Checks the rules of docs/ARCHITECTURE.md on who may include whom, and that file
# names are unique in the tree.
#
#   sh scripts/check_includes.sh [SOURCE_ROOT]
set -u
root=${1:-$(dirname "$0")/..}
cd "$root" || exit 1

failures=0
files=0
fail() {
  echo "$1" >&2
  failures=$((failures + 1))
}

# The folder (kernels, src, src/cli, quantize, bench, tests) a header of the tree
# lies in. Headers are named either bare or from the folder above.
owner_of() {
  for folder in kernels src src/cli quantize bench tests; do
    if [ -f "$folder/$(basename "$1")" ]; then
      echo "$folder"
      return
    fi
  done
  echo unknown
}

# check_folder FOLDER ALLOWED FILE...: ALLOWED is a list of "FOLDER/" (all of its
# headers) and "FOLDER/HEADER".
check_files() {
  folder=$1
  allowed=" $2 "
  shift 2
  for file in "$@"; do
    [ -f "$file" ] || continue
    files=$((files + 1))
    for header in $(sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"\([^"]*\)".*/\1/p' \
                    "$file"); do
      owner=$(owner_of "$header")
      name=$(basename "$header")
      case "$allowed" in
        *" $owner/ "* | *" $owner/$name "*) ;;
        *) fail "$file: may not include $header (of $owner)" ;;
      esac
    done
    # The project's own headers are written with quotes, so that none hides here.
    for header in $(sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*<\([^>]*\)>.*/\1/p' \
                    "$file"); do
      [ "$(owner_of "$header")" = unknown ] || fail "$file: write #include \"$header\", not <$header>"
    done
  done
}

converter="src/gust.h src/format.h src/status.h src/tokenizer.h src/checksum.h"

check_files kernels "kernels/" kernels/*.[ch]
check_files src "src/ kernels/" src/*.[ch]
check_files src/cli "src/cli/ src/gust.h kernels/os.h" src/cli/*.[ch]
for file in quantize/*.[ch]; do
  case "$file" in
    quantize/cmd_*.c) check_files quantize "quantize/ kernels/ src/cli/ $converter" "$file" ;;
    *) check_files quantize "quantize/ kernels/ $converter" "$file" ;;
  esac
done
[ "$files" -gt 0 ] || fail "no source files found in $(pwd)"

twice=$(find kernels src quantize bench tests docs scripts -type f \
          \( -name '*.[ch]' -o -name '*.sh' -o -name '*.py' -o -name '*.md' \) \
          ! -path 'tests/emulated_*' | sed 's|.*/||' | sort | uniq -d)
for name in $twice; do
  fail "$name: two files of this name:$(find kernels src quantize bench tests docs scripts \
    -name "$name" | sed 's/^/ /' | tr -d '\n')"
done

echo "$files files checked, $failures broken rules"
[ "$failures" -eq 0 ]
