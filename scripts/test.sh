#!/bin/sh
# Builds gust and runs its tests, installing what that needs.
#
#   sh scripts/test.sh [OPTION]... [TEST]...
#
# Without an option: the whole suite, built with $CC or the system's compiler, in
# build-test/. Each of these runs something else instead; several can be given:
#   --plain      what is done without an option
#   --clang      the whole suite, built with clang, and with hwloc
#   --sanitize   suite fast with AddressSanitizer and UndefinedBehaviorSanitizer
#   --tsan       the tests of threads with ThreadSanitizer
#   --valgrind   tests of memory handling under valgrind
#   --arm        built for 64-bit Arm: suite emulated and what of suite fast is soon
#                done, under qemu
#   --musl       the whole suite, linked statically with musl
#   --windows    the whole suite, built for 64-bit Windows, under wine
#   --macos      every file compiled for macOS (scripts/check_macos.sh): two checks
#   --all        all of these
#   --dist       the archive of a release, made and tested (scripts/check_dist.sh)
#   --debian     Debian packages, built and checked (scripts/check_debian.sh)
# --werror makes compiler warnings errors. TEST names the tests to run; each has to
# be in one of the builds at least (sanitizers leave out emulated levels).
#
# The last line counts the results, from meson's own log: a skipped test is no
# passed test. Fails when a test failed or none passed.
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
cd "$root" || exit 1
. "$root/scripts/find_tools.sh"

thread_tests="pool context convert_resume"
fuzz_tests="fuzz-format fuzz-json fuzz-safetensors fuzz-tokenizer fuzz-chat_template fuzz-model
  fuzz-session_journal fuzz-line_editor fuzz-hf_config fuzz-tokenizer_json fuzz-sentencepiece
  fuzz-checkpoint fuzz-command_line fuzz-convert_journal"
# What takes less than a minute each there, and passes without a real CPU's arithmetic.
valgrind_tests="os pool checksum json format tokenizer tokenizer_import text_decoder
  options cli_parts quantizers convert sampler answer_parts chat_parts example
  $fuzz_tests"

# Under qemu, which computes floats in software: the Arm levels on each kind of
# processor, and of the rest what takes less than half a minute there.
arm_tests="os pool checksum json format tokenizer tokenizer_import text_decoder
  chat_template quantizers options cli_parts line_editor line_terminal
  answer_parts manual convert session_list sampler chat_parts example
  $fuzz_tests"
for processor in cortex-a53 neoverse-n1 max; do
  arm_tests="$arm_tests levels-$processor kernels-$processor same_bits-$processor"
done

# Reference data beside the sources; tests that need it skip without.
if [ -z "${GUST_TEST_REFS:-}" ] && [ -d "$root/../shared/refs" ]; then
  GUST_TEST_REFS=$(cd "$root/../shared/refs" && pwd)
  export GUST_TEST_REFS
fi

modes=
werror=false
chosen=
found=
for arg in "$@"; do
  case "$arg" in
    --plain | --clang | --sanitize | --tsan | --valgrind | --arm | --musl | --windows | --macos | \
      --dist | --debian) modes="$modes ${arg#--}" ;;
    --all) modes="plain clang sanitize tsan valgrind arm musl windows macos" ;;
    --werror) werror=true ;;
    --help | -h)
      sed -n '2,/^set -u/s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    -*)
      say "$0: unknown option $arg (see --help)"
      exit 2
      ;;
    *) chosen="$chosen $arg" ;;
  esac
done
[ -n "$modes" ] || modes=plain

passed=0
failed=0
skipped=0

lines_with() {
  cat "$build"/meson-logs/testlog*.json 2>/dev/null | grep -c -e "$1"
}

# meson writes one JSON object per line and test. Quotes inside a test's output
# are escaped there, so that these patterns match the result alone.
count_results() {
  total=$(lines_with '"result": "')
  good=$(($(lines_with '"result": "OK"') + $(lines_with '"result": "EXPECTEDFAIL"')))
  not_run=$(lines_with '"result": "SKIP"')
  bad=$((total - good - not_run))
  # meson itself says something failed, or ran nothing at all.
  [ "$1" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
  [ "$total" -gt 0 ] || bad=1
  passed=$((passed + good))
  failed=$((failed + bad))
  skipped=$((skipped + not_run))
}

# A check that is a command of its own.
count_check() {
  if "$@"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
  fi
}

# Keeps those of $only that this build has tests of. Which of the command line's
# were in any build is for the end; the lists above must be there whole.
keep_existing() {
  known=$("$MESON" test -C "$build" --list 2>/dev/null)
  wanted=$only
  only=
  for test in $wanted; do
    if echo "$known" | grep -q -e "^$test\$" -e " / $test\$"; then
      only="$only $test"
    else
      say "$build: there is no test $test"
      [ -n "$chosen" ] || failed=$((failed + 1))
    fi
  done
  found="$found $only"
}

# Names on the command line that no build had.
count_unknown() {
  for test in $chosen; do
    case " $found " in
      *" $test "*) ;;
      *)
        say "no test is called $test"
        failed=$((failed + 1))
        ;;
    esac
  done
}

# run_tests NAME "MESON SETUP OPTIONS" [MESON TEST OPTION]...
run_tests() {
  build=$root/build-test-$1
  [ "$1" = plain ] && build=$root/build-test
  options="$2 -Dwerror=$werror"
  shift 2
  say "Building in $build with $CC."
  [ -f "$build/build.ninja" ] && options="--reconfigure $options"
  # shellcheck disable=SC2086 # the options are words
  if ! "$MESON" setup $options "$build" "$root" </dev/null >"$root/build-test.log" 2>&1 ||
    ! "$MESON" compile -C "$build" </dev/null >>"$root/build-test.log" 2>&1; then
    cat "$root/build-test.log"
    rm -f "$root/build-test.log"
    say "$build: building failed"
    failed=$((failed + 1))
    return
  fi
  grep -i -A4 'warning:' "$root/build-test.log"
  rm -f "$root/build-test.log" "$build"/meson-logs/testlog*.json
  if [ -n "$only" ]; then
    keep_existing
    [ -n "$only" ] || return # without names, meson would run everything
  fi
  # shellcheck disable=SC2086
  "$MESON" test -C "$build" --print-errorlogs "$@" $only </dev/null
  count_results $?
}

# Runs scripts/check_NAME.sh, and counts the tests of its build folder, $2.
check_package() {
  build=$root/build-test-$1/$2
  sh "$root/scripts/check_$1.sh" "$root/build-test-$1"
  count_results $?
}

run_mode() {
  only=$chosen
  case "$1" in
    plain)
      need_command pkg-config pkg-config
      run_tests plain "-Dbuildtype=release"
      ;;
    clang)
      need_command clang clang
      need_library hwloc libhwloc-dev
      need_library libudev libudev-dev # without which nothing links to hwloc statically
      cc_before=$CC
      CC=clang
      run_tests clang "-Dbuildtype=release -Dhwloc=enabled"
      CC=$cc_before
      ;;
    sanitize)
      run_tests sanitize \
        "-Dbuildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false" \
        --suite fast --timeout-multiplier 4
      ;;
    tsan)
      only=${chosen:-$thread_tests}
      run_tests tsan "-Dbuildtype=debugoptimized -Db_sanitize=thread -Db_lundef=false" \
        --timeout-multiplier 4
      ;;
    valgrind)
      need_command valgrind valgrind
      only=${chosen:-$valgrind_tests}
      run_tests valgrind "-Dbuildtype=debugoptimized" --timeout-multiplier 20 \
        --wrapper "valgrind --quiet --error-exitcode=99 --leak-check=full \
          --child-silent-after-fork=yes"
      ;;
    arm)
      need_arm_tools
      only=${chosen:-$arm_tests}
      cc_before=$CC
      CC=aarch64-linux-gnu-gcc
      run_tests arm "-Dbuildtype=release --cross-file scripts/cross/aarch64-linux-gnu.ini" \
        --timeout-multiplier 4
      CC=$cc_before
      ;;
    musl)
      need_musl_tools
      cc_before=$CC
      CC=musl-gcc
      run_tests musl "-Dbuildtype=release --native-file scripts/cross/x86_64-linux-musl.ini"
      CC=$cc_before
      ;;
    windows)
      need_windows_tools
      cc_before=$CC
      CC=x86_64-w64-mingw32-gcc
      run_tests windows "-Dbuildtype=release --cross-file scripts/cross/x86_64-w64-mingw32.ini" \
        --timeout-multiplier 2
      CC=$cc_before
      ;;
    macos)
      need_macos_tools
      for target in arm64 x86_64; do
        count_check env MESON="$MESON" sh scripts/check_macos.sh $target
      done
      ;;
    dist)
      need_command git git
      need_command pkg-config pkg-config
      check_package dist build
      ;;
    debian)
      need_debian_tools
      check_package debian gust/build-debian
      ;;
  esac
}

need_tools
for mode in $modes; do
  run_mode "$mode"
done
count_unknown
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
