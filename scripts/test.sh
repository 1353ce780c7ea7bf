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
#   --macos      every file compiled for macOS (scripts/check_macos.sh): two checks
#   --format     clang-format finds nothing to change
#   --lint       clang-tidy and cppcheck find nothing
#   --coverage   how many lines of src, kernels and quantize the suite runs, by file
#   --dist       the archive of a release, made and tested (scripts/check_dist.sh)
#   --debian     Debian packages, built and checked (scripts/check_debian.sh)
#   --all        all of these
# --werror makes compiler warnings errors. TEST names the tests to run; each has to
# be in one of the builds at least (sanitizers leave out emulated levels).
#
# The last line counts the results, from meson's own log: a skipped test is no
# passed test. Fails when a test failed or none passed.
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
cd "$root" || exit 1
. "$root/scripts/find_tools.sh"
. "$root/scripts/run_suite.sh"

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

# In the order in which --all goes through them: what is soon known comes first.
all_modes="format lint plain clang sanitize tsan valgrind arm musl macos
  coverage dist debian"
modes=
werror=false
chosen=
for arg in "$@"; do
  case "$arg" in
    --all) modes=$all_modes ;;
    --werror) werror=true ;;
    --help | -h)
      sed -n '2,/^set -u/s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    --*)
      case " $all_modes " in
        *" ${arg#--} "*) modes="$modes ${arg#--}" ;;
        *)
          say "$0: unknown option $arg (see --help)"
          exit 2
          ;;
      esac
      ;;
    -*)
      say "$0: unknown option $arg (see --help)"
      exit 2
      ;;
    *) chosen="$chosen $arg" ;;
  esac
done
[ -n "$modes" ] || modes=plain

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
    format) count_check sh scripts/lint.sh format ;;
    lint)
      count_check sh scripts/lint.sh clang-tidy
      count_check sh scripts/lint.sh cppcheck
      ;;
    coverage)
      need_command gcovr gcovr
      without='calibrated_quality.*\|convert_large\|quality\|stories' # minutes, and no line more
      run_tests coverage "-Doptimization=1 -Ddebug=true -Db_coverage=true" --timeout-multiplier 4
      without=
      count_check sh scripts/coverage.sh "$build"
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
