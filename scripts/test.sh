#!/bin/sh
# Builds gust and runs its tests, installing what that needs.
#
#   sh scripts/test.sh [OPTION]... [TEST]...
#
# Without an option: the whole suite, built with $CC or the system's compiler, in
# build-test/. Each of these runs something else instead; several can be given:
#   --plain      what is done without an option
#   --clang      built with clang, and with hwloc: the suite but for what computes for minutes
#   --sanitize   suite fast with AddressSanitizer and UndefinedBehaviorSanitizer
#   --tsan       the tests of threads with ThreadSanitizer
#   --valgrind   tests of memory handling under valgrind
#   --fuzz       the fuzz targets with libFuzzer and sanitizers, over their corpora
#   --arm        built for 64-bit Arm, under qemu: the suite but for what takes minutes there
#   --musl       the suite but for failing allocations, linked statically with musl
#   --windows    built for 64-bit Windows, under wine: the suite but for what Windows lacks
#   --macos      every file compiled for macOS (scripts/check_macos.sh): two checks
#   --same-logits
#                gust for Arm, for Windows and with musl, each against this system's: the
#                same file and logits of the demo model (scripts/same_logits.sh)
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
fuzz_tests=$(cd tests/corpus && printf 'fuzz-%s ' *)
# What takes less than a minute each there, and passes without a real CPU's arithmetic.
valgrind_tests="os pool checksum json format tokenizer tokenizer_import text_decoder
  options cli_parts quantizers convert convert_refusals convert_targets sampler answer_parts
  chat_parts example
  $fuzz_tests"

# Under qemu, which computes floats in software some fifty times as slowly, other tests
# make the same checks of shorter sequences, or leave parts out. Left out as a whole are
# those that would still take minutes each: cli_chat, cli_run, chat_session and
# random_signals start gust on the model, or convert it, again and again, and what they look
# at (words, sessions, exit codes) is not the processor's doing; eval and the others compute
# figures of a whole text; golden-bf16 does what golden-f32 does, which stays. doctor
# and bench measure times, which mean nothing there. The plain runs of kernels, levels and
# same_bits are left out for those on a processor of each kind.
not_on_arm="cli_chat cli_run chat_session random_signals eval quality golden-bf16
  calibrated_quality-demo calibrated_quality-default calibrated_quality-q8 calibrated_quality-stories
  calibrated_quality-synthetic convert_calibrated convert_large doctor bench
  kernels levels same_bits"

# What computes for minutes and runs no line that other tests do not; for builds that
# other compilers or counters make.
no_line_more="calibrated_quality-demo calibrated_quality-default calibrated_quality-q8
  calibrated_quality-stories calibrated_quality-synthetic convert_large quality stories"

# Reference data beside the sources; tests that need it skip without.
if [ -z "${GUST_TEST_REFS:-}" ] && [ -d "$root/../shared/refs" ]; then
  GUST_TEST_REFS=$(cd "$root/../shared/refs" && pwd)
  export GUST_TEST_REFS
fi

# In the order in which --all goes through them: what is soon known comes first. (A line
# break would hide the words beside it from the search below.)
all_modes="format lint plain clang sanitize tsan valgrind fuzz arm musl macos windows same-logits"
all_modes="$all_modes coverage dist debian"
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

arm_options="-Dbuildtype=release --cross-file scripts/cross/aarch64-linux-gnu.ini"
musl_options="-Dbuildtype=release --native-file scripts/cross/x86_64-linux-musl.ini"
windows_options="-Dbuildtype=release --cross-file scripts/cross/x86_64-w64-mingw32.ini"

# with_compiler CC COMMAND...
with_compiler() {
  cc_before=$CC
  CC=$1
  shift
  "$@"
  with_status=$?
  CC=$cc_before
  return $with_status
}

# Every other platform's gust against this one's.
compare_platforms() {
  need_arm_tools
  need_musl_tools
  need_windows_tools
  build_in plain "-Dbuildtype=release" gust:executable || return
  with_compiler aarch64-linux-gnu-gcc build_in arm "$arm_options" gust:executable &&
    with_compiler musl-gcc build_in musl "$musl_options" gust:executable &&
    with_compiler x86_64-w64-mingw32-gcc build_in windows "$windows_options" gust:executable ||
    return
  for other in musl=build-test-musl/gust \
    "aarch64=qemu-aarch64 -L /usr/aarch64-linux-gnu build-test-arm/gust" \
    "windows=wine64 build-test-windows/gust.exe"; do
    count_check sh scripts/same_logits.sh x86-64=build-test/gust "$other"
  done
}

# Runs scripts/check_NAME.sh, and counts the tests of its build folder, $2.
check_package() {
  build=$root/build-test-$1/$2
  sh "$root/scripts/check_$1.sh" "$root/build-test-$1"
  count_results $?
}

run_mode() {
  only=$chosen
  left_out=
  targets=
  case "$1" in
    plain)
      need_command pkg-config pkg-config
      need_command zsh zsh # completion is tried in them
      need_command fish fish
      run_tests plain "-Dbuildtype=release"
      ;;
    clang)
      need_command clang clang
      need_library hwloc libhwloc-dev
      need_library libudev libudev-dev # without which nothing links to hwloc statically
      [ -n "$chosen" ] || left_out=$(echo $no_line_more doctor bench)
      with_compiler clang run_tests clang "-Dbuildtype=release -Dhwloc=enabled"
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
    fuzz)
      need_command clang clang
      only=${chosen:-$fuzz_tests}
      targets=$(echo "$fuzz_tests" | sed 's,fuzz-,tests/fuzz_,g')
      with_compiler clang run_tests fuzz "-Dfuzzing_engine=libfuzzer -Doptimization=0 -Db_lundef=false \
        -Db_sanitize=address,undefined"
      ;;
    arm)
      need_arm_tools
      [ -n "$chosen" ] || left_out=$(echo $not_on_arm) # in one line
      with_compiler aarch64-linux-gnu-gcc run_tests arm "$arm_options" --timeout-multiplier 4
      ;;
    musl)
      need_musl_tools
      # In a static program what the C library asks itself for fails as well.
      [ -n "$chosen" ] || left_out=allocation_failures
      with_compiler musl-gcc run_tests musl "$musl_options"
      ;;
    same-logits) compare_platforms ;;
    format) count_check sh scripts/lint.sh format ;;
    lint)
      count_check sh scripts/lint.sh clang-tidy
      count_check sh scripts/lint.sh cppcheck
      ;;
    coverage)
      need_command gcovr gcovr
      [ -n "$chosen" ] || left_out=$(echo $no_line_more)
      # Counters of earlier runs would be added.
      find "$root/build-test-coverage" -name '*.gcda' -delete 2>/dev/null
      run_tests coverage "-Doptimization=1 -Ddebug=true -Db_coverage=true" --timeout-multiplier 4
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
    windows)
      need_windows_tools
      keep_wine_running
      with_compiler x86_64-w64-mingw32-gcc run_tests windows "$windows_options" \
        --timeout-multiplier 2
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
