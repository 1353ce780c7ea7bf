#!/bin/sh
# From a fresh Debian or Ubuntu machine to a chat: installs a compiler, meson and
# ninja where missing, builds gust in build/, converts the demo model to 4 bits
# and opens the chat. Arguments go to `gust chat`. With lines on standard input,
# each is answered.
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
. "$root/scripts/find_tools.sh"

build=$root/build
model=$build/demo-q4.gust
log=$root/build-demo.log

# Runs a step whose output matters only when it fails. Standard input belongs to
# the chat.
quietly() {
  "$@" </dev/null >"$log" 2>&1 && rm -f "$log" && return
  cat "$log" >&2
  rm -f "$log"
  die "failed: $*"
}

need_tools
if [ ! -f "$build/build.ninja" ]; then
  say "Configuring $build."
  quietly "$MESON" setup -Dbuildtype=release "$build" "$root"
fi
[ -x "$build/gust" ] || say "Building gust."
quietly "$MESON" compile -C "$build" gust:executable

if [ ! -f "$model" ] || [ -n "$(find "$build/gust" "$root/models/demo" -newer "$model")" ]; then
  say "Converting models/demo to q4."
  "$build/gust" convert "$root/models/demo" --type q4 -o "$model" --quiet </dev/null >&2 ||
    die "converting failed"
fi
exec "$build/gust" chat "$model" "$@"
