#!/bin/sh
# One answer everywhere: builds of gust for different systems convert the demo checkpoint
# to the same bytes and compute the same logits.
#
#   sh scripts/same_logits.sh NAME=COMMAND NAME=COMMAND...
#
# COMMAND runs one build's gust, through an emulator if need be. Prints the SHA-256 of
# what each made; fails when one differs from the first.
set -u
cd "$(dirname "$0")/.." || exit 1
[ $# -ge 2 ] || {
  echo "usage: $0 NAME=COMMAND NAME=COMMAND..." >&2
  exit 2
}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# 64 tokens, from all over the vocabulary of 4,096.
awk 'BEGIN { for (i = 1; i <= 64; i++) print i * 1597 % 4096 }' >"$work/ids.txt"

# What gust makes of the checkpoint as $1, in $work: the file and its logits.
compute() {
  $command convert models/demo --type "$1" -o "$work/demo.gust" --quiet >"$work/said" &&
    $command logits "$work/demo.gust" "$work/ids.txt" -o "$work/logits.f32" --quiet
}

first=
status=0
for build in "$@"; do
  name=${build%%=*}
  command=${build#*=}
  sums=
  for type in q4 q8; do
    rm -f "$work/demo.gust" "$work/logits.f32"
    compute "$type" || {
      echo "$name: gust failed on the $type file"
      exit 1
    }
    for made in demo.gust logits.f32; do
      sum=$(sha256sum <"$work/$made" | cut -d ' ' -f 1)
      printf '%-10s %-3s %-10s %s\n' "$name" "$type" "$made" "$sum"
      sums="$sums $sum"
    done
  done
  [ -n "$first" ] || first=$sums
  [ "$sums" = "$first" ] || {
    echo "$name: expected the same bytes as ${1%%=*}"
    status=1
  }
done
exit $status
