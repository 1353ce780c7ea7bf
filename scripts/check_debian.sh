#!/bin/sh
# The Debian packages build from a copy of the sources, suite fast of the tests passing
# meanwhile, lintian has nothing to say about them, and gust out of them answers.
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
answer=$("$work/root/usr/bin/gust" run --quiet --temp 0 -p 'Who are you?' \
  "$work/root/usr/share/gust/models/demo-q4.gust" </dev/null)
case "$answer" in
  'I am the demo model of gust'*) ;;
  *) die "gust of the packages answers '$answer'" ;;
esac
