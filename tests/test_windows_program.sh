#!/bin/sh
# What gust.exe must not come to need: a DLL that Windows does not bring along, and a
# stack aligned for vectors, which its ABI does not give (meson.build).
#
#   sh test_windows_program.sh OBJDUMP PROGRAM
set -u
objdump=$1
program=$2
failures=0

fail() {
  echo "$program: $*" >&2
  failures=$((failures + 1))
}

libraries=$("$objdump" -p "$program" | sed -n 's/^[[:space:]]*DLL Name: //p')
[ -n "$libraries" ] || fail "expected DLLs it is linked with, found none"
for library in $libraries; do
  case $(echo "$library" | tr '[:upper:]' '[:lower:]') in
    kernel32.dll | shell32.dll | msvcrt.dll | ucrtbase.dll | api-ms-win-crt-*.dll) ;;
    *) fail "needs $library, which is no part of Windows" ;;
  esac
done

# Instructions that move a whole vector of 32 or 64 bytes from or to memory: the
# unaligned kind only. That they are there at all shows that the pattern fits.
moves=$("$objdump" -d "$program" |
  sed -n 's/.*[[:space:]]\(vmov[a-z0-9]*\)[[:space:]].*%[yz]mm.*/\1/p' | sort | uniq -c)
echo "$moves" | grep -q 'vmov[du]' || fail "expected vector instructions, found none"
aligned=$(echo "$moves" | grep -E 'vmov(aps|apd|dqa)')
[ -z "$aligned" ] || fail "moves vectors to addresses it takes to be aligned: $aligned"

[ "$failures" -eq 0 ]
