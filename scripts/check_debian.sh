#!/bin/sh
# The Debian packages build from a copy of the sources, suite fast of the tests passing
# meanwhile, lintian has nothing to say about them, and gust out of them answers, as does
# the documentation's example compiled with the library out of them.
# Called by test.sh --debian.
#
#   sh scripts/check_debian.sh WORK_FOLDER      builds in WORK_FOLDER/gust/build-debian
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/find_tools.sh"
rm -rf "$1"
mkdir -p "$1/gust"
work=$(cd "$1" && pwd)

# What is committed, or would be: not build folders and what lies in the repository.
(cd "$root" && find . -mindepth 1 -maxdepth 1 ! -name 'build*' ! -name .git -print0 |
  xargs -0 cp -a -t "$work/gust")
cd "$work/gust"
unset GUST_TEST_REFS CC
dpkg-buildpackage -us -uc </dev/null >"$work/log" 2>&1 ||
  { tail -n 200 "$work/log" >&2; die "dpkg-buildpackage failed"; }
lintian --fail-on error,warning "$work"/gust_*.changes </dev/null

mkdir "$work/root"
for package in "$work"/*.deb; do
  case "$package" in *-dbgsym_*) continue ;; esac
  echo "${package##*/}"
  dpkg-deb -x "$package" "$work/root"
done

check_answer() {
  case "$2" in
    'I am the demo model of gust'*) ;;
    *) die "$1 of the packages answers '$2'" ;;
  esac
}

top=$work/root/usr
model=$top/share/gust/models/demo-q4.gust
question='Who are you?'
check_answer gust "$("$top/bin/gust" run --quiet --temp 0 -p "$question" "$model" </dev/null)"

# What pkg-config leaves out as the system's own is not, below another root.
pc=$(ls "$top"/lib/*/pkgconfig/gust.pc)
libraries=${pc%/pkgconfig/gust.pc}
export PKG_CONFIG_PATH="${pc%/gust.pc}" PKG_CONFIG_SYSROOT_DIR="$work/root"
export PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1
# shellcheck disable=SC2046 # pkg-config prints words
cc -o "$work/example" "$top/share/doc/libgust-dev/examples/example.c" \
  $(pkg-config --cflags --libs gust)
check_answer example "$(LD_LIBRARY_PATH="$libraries" "$work/example" "$model" "$question")"

# What runs once they are installed.
for test in "$root"/debian/tests/*; do
  [ "${test##*/}" = control ] || sh -n "$test"
done
