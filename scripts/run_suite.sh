# Builds gust, runs its tests and counts results, for the modes of scripts/test.sh, which
# reads this with `.`. To be set there: root, CC, MESON, werror, chosen (tests named on the
# command line), only (those to run now; empty: all), left_out (tests of which all others
# run when `only` is empty), targets (those to build; empty: all).
#
#   build_in NAME "MESON SETUP OPTIONS" [TARGET]...
#   run_tests NAME "MESON SETUP OPTIONS" [MESON TEST OPTION]...
#   count_check COMMAND...   a check that is a command of its own
#   count_results STATUS     those of the build folder in $build
#   count_unknown            names in chosen that no build had
found=
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

# The tests of this build: all but those in $left_out, unless some were asked for.
list_tests() {
  known=$("$MESON" test -C "$build" --list 2>/dev/null | sed -n 's,.* / ,,p') # not what ninja says
  for test in $left_out; do
    echo "$known" | grep -q -x -e "$test" || {
      say "$build: there is no test $test to leave out"
      failed=$((failed + 1))
    }
  done
  [ -n "$only" ] && return
  for test in $known; do
    case " $left_out " in
      *" $test "*) ;;
      *) only="$only $test" ;;
    esac
  done
}

# Keeps those of $only that this build has tests of. Which of the command line's
# were in any build is for the end; the lists above must be there whole.
keep_existing() {
  wanted=$only
  only=
  for test in $wanted; do
    if echo "$known" | grep -q -x -e "$test"; then
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

# build_in NAME "MESON SETUP OPTIONS" [TARGET]...
build_in() {
  build=$root/build-test-$1
  [ "$1" = plain ] && build=$root/build-test
  options="$2 -Dwerror=$werror"
  shift 2
  # meson keeps the compiler a folder was set up with, whatever CC says later.
  if [ -d "$build" ] && [ "$(cat "$build/compiler" 2>/dev/null)" != "$CC" ]; then
    say "Removing $build, which was not built with $CC."
    rm -rf "$build"
  fi
  say "Building in $build with $CC."
  [ -f "$build/build.ninja" ] && options="--reconfigure $options"
  # shellcheck disable=SC2086 # the options are words
  if ! "$MESON" setup $options "$build" "$root" </dev/null >"$root/build-test.log" 2>&1 ||
    ! echo "$CC" >"$build/compiler" ||
    ! "$MESON" compile -C "$build" "$@" </dev/null >>"$root/build-test.log" 2>&1; then
    cat "$root/build-test.log"
    rm -f "$root/build-test.log"
    say "$build: building failed"
    failed=$((failed + 1))
    return 1
  fi
}

# run_tests NAME "MESON SETUP OPTIONS" [MESON TEST OPTION]...
run_tests() {
  # shellcheck disable=SC2086 # targets and tests are words
  build_in "$1" "$2" $targets || return
  shift 2
  grep -i -A4 'warning:' "$root/build-test.log"
  rm -f "$root/build-test.log" "$build"/meson-logs/testlog*.json
  [ -n "$only$left_out" ] && list_tests
  if [ -n "$only" ]; then
    keep_existing
    [ -n "$only" ] || return # without names, meson would run everything
  fi
  # shellcheck disable=SC2086
  "$MESON" test -C "$build" --print-errorlogs "$@" $only </dev/null
  count_results $?
}
