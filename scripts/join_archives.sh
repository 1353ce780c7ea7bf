#!/bin/sh
# Makes one static library of several: a single object in which only what a shared
# library would export is global, so that no name of the inside can clash with one
# of the program it is linked into.
#
#   sh scripts/join_archives.sh OUTPUT COMPILER OBJCOPY AR ARCHIVE...
set -eu
output=$1
compiler=$2
objcopy=$3
archiver=$4
shift 4
object=$output.o
trap 'rm -f "$object"' EXIT

# shellcheck disable=SC2086 # a compiler may be several words
$compiler -r -nostdlib -o "$object" -Wl,--whole-archive "$@" -Wl,--no-whole-archive
"$objcopy" --localize-hidden "$object"
rm -f "$output"
"$archiver" crsD "$output" "$object"
