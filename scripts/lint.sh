#!/bin/sh
# Finds mistakes and wrong layout without running anything of gust.
#
#   sh scripts/lint.sh format | clang-tidy | cppcheck
#
# What counts is in .clang-format, .clang-tidy (tests/.clang-tidy for tests) and
# scripts/cppcheck.suppressions. The last two see every file as the build compiles it:
# first for this machine, then, for what is left, for 64-bit Arm. cppcheck leaves out the
# tests: it does not see that check_fatal, after which they do not go on, never returns.
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
cd "$root" || exit 1
. "$root/scripts/find_tools.sh"
jobs=$(nproc 2>/dev/null || echo 2)

# The C files that `meson setup $2` compiles and no build named in $3 did, one a line.
list_files() {
  options=$2
  [ -f "$1/build.ninja" ] && options="--reconfigure $options"
  # shellcheck disable=SC2086 # the options are words
  "$MESON" setup $options "$1" >"$1.log" 2>&1 </dev/null || {
    cat "$1.log" >&2
    die "$1: meson setup failed"
  }
  rm -f "$1.log"
  # shellcheck disable=SC2086
  python3 scripts/one_command_each.py "$1" $3
}

find_files() {
  need_tools
  need_arm_tools
  need_command clang clang
  CC=clang # whose options clang-tidy knows
  native_files=$(list_files build-lint "-Dtests=true" "")
  arm_files=$(list_files build-lint-arm "-Dtests=false --cross-file \
    scripts/cross/aarch64-linux-gnu.ini" build-lint)
  if [ -z "$native_files" ] || [ -z "$arm_files" ]; then die "found no files to look at"; fi
}

# The analyzer of clang gives up on a function after so many states: a third of its default,
# which finds the same here in half the time. A process for each file: in one for several,
# clang-tidy 14 takes every va_list of the second for uninitialized.
tidy() {
  build=$1
  shift
  printf '%s\n' "$@" | xargs -P "$jobs" -n 1 clang-tidy -p "$build/lint" --quiet \
    --extra-arg=-Xclang --extra-arg=-analyzer-config \
    --extra-arg=-Xclang --extra-arg=max-nodes=75000 2>/dev/null
}

run_clang_tidy() {
  need_command clang-tidy clang-tidy
  find_files
  # shellcheck disable=SC2086 # file names are words
  tidy build-lint $native_files
  status=$?
  # shellcheck disable=SC2086
  tidy build-lint-arm $arm_files || status=1
  say "clang-tidy: $(echo "$native_files" "$arm_files" | wc -w) files"
  return $status
}

run_cppcheck() {
  need_command cppcheck cppcheck
  find_files
  status=0
  for build in build-lint build-lint-arm; do
    mkdir -p "$build/cppcheck"
    cppcheck --project="$build/lint/compile_commands.json" -j "$jobs" --quiet \
      --cppcheck-build-dir="$build/cppcheck" -i tests --enable=warning,performance,portability \
      --suppressions-list=scripts/cppcheck.suppressions --error-exitcode=1 \
      --template='{file}:{line}: {severity}: {message} [{id}]' || status=1
  done
  say "cppcheck: $(echo "$native_files" "$arm_files" | tr ' ' '\n' | grep -v -c '^tests/') files"
  return $status
}

# Layout is not the same in all versions of clang-format; the tree's is that of 14.
run_clang_format() {
  formatter=clang-format
  "$formatter" --version 2>/dev/null | grep -q 'version 14\.' || formatter=clang-format-14
  need_command "$formatter" clang-format-14
  find src kernels quantize bench tests docs scripts -name '*.[ch]' -exec \
    "$formatter" --dry-run -Werror {} + || return 1
  say "clang-format: nothing to change"
}

case "${1:-}" in
  format) run_clang_format ;;
  clang-tidy) run_clang_tidy ;;
  cppcheck) run_cppcheck ;;
  *)
    sed -n '2,/^set -u/s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
