#!/bin/sh
# Compiles every file of gust for macOS, without Apple's SDK: against the declarations
# in tests/macos_headers. Fails where a file uses what macOS has not, or uses it wrongly.
#
#   MESON=meson sh scripts/check_macos.sh arm64|x86_64
set -u
cd "$(dirname "$0")/.." || exit 1
target=$1
build=build-macos-$target

options="-Dtests=false -Dhwloc=disabled -Dbuildtype=plain -Dwerror=true"
[ -f "$build/build.ninja" ] && options="--reconfigure $options"
# shellcheck disable=SC2086 # the options are words
"${MESON:-meson}" setup $options --cross-file "scripts/cross/$target-apple-darwin.ini" \
  "-Dc_args=-nostdlibinc -isystem $PWD/tests/macos_headers" "$build" . >"$build.log" 2>&1 || {
  cat "$build.log"
  exit 1
}
rm -f "$build.log"

# All objects, and no program: there is nothing to link with.
objects=$(ninja -C "$build" -t targets all | sed -n 's/^\(.*\.c\.o\): .*/\1/p')
count=$(echo "$objects" | wc -l)
[ "$count" -gt 100 ] || {
  echo "$build: expected all files of gust, found $count"
  exit 1
}
# shellcheck disable=SC2086
ninja -C "$build" -k 0 --quiet $objects || exit 1
echo "macOS on $target: $count files compile"
