#!/bin/sh
# The archive `meson dist` makes of the last commit holds what was committed; it builds
# outside of any repository, passes the whole suite, and installs below a prefix and
# uninstalls again without a trace. Called by test.sh --dist.
#
#   sh scripts/check_dist.sh WORK_FOLDER      builds in WORK_FOLDER/build
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/find_tools.sh"
need_tools
rm -rf "$1"
mkdir -p "$1"
work=$(cd "$1" && pwd)

cd "$root"
git diff --quiet HEAD || say "The archive is made of the last commit: changes since are not in it."
"$MESON" setup -Dtests=false "$work/maker" "$root" </dev/null >/dev/null
"$MESON" dist -C "$work/maker" --no-tests --allow-dirty --formats xztar </dev/null
archive=$(ls "$work"/maker/meson-dist/gust-*.tar.xz)
mkdir "$work/unpacked"
tar -C "$work/unpacked" -xJf "$archive"
source=$(ls -d "$work"/unpacked/gust-*)
git ls-tree -r --name-only HEAD | LC_ALL=C sort >"$work/committed"
(cd "$source" && find . ! -type d | sed 's,^\./,,') | LC_ALL=C sort >"$work/packed"
diff -u "$work/committed" "$work/packed" || die "$archive: other files than were committed"

# No repository around the sources, and nothing beside them.
export GIT_DIR="$work/no-repository"
unset GUST_TEST_REFS
{
  "$MESON" setup -Dprefix="$work/prefix" -Dwerror=true "$work/build" "$source" </dev/null &&
    "$MESON" compile -C "$work/build" </dev/null
} >"$work/log" 2>&1 || { cat "$work/log"; die "$source: building failed"; }
"$MESON" test -C "$work/build" --print-errorlogs </dev/null

"$MESON" install -C "$work/build" --no-rebuild --quiet </dev/null
"$work/prefix/bin/gust" --version
ninja -C "$work/build" uninstall </dev/null >"$work/log" 2>&1 ||
  { cat "$work/log"; die "ninja uninstall failed"; }
left=$(cd "$work" && find . -path './prefix/*' ! -type d)
[ -z "$left" ] || die "ninja uninstall left $left"
