#!/bin/sh
# What `meson install` puts where; that the libraries export the functions of gust.h
# and nothing else; and that a project of its own, tests/consumer, is built with
# them through pkg-config and answers. Folders come from tests/meson.build.
set -eu
: "${SOURCE_ROOT:?}" "${BUILD_ROOT:?}" "${PREFIX:?}" "${BINDIR:?}" "${LIBDIR:?}"
: "${INCLUDEDIR:?}" "${DATADIR:?}" "${MANDIR:?}" "${KINDS:?}" "${COMMANDS:?}" "${LIBRARY_VERSION:?}"
: "${VERSION:?}"

skip() {
  echo "SKIP: $*"
  exit 77
}

fail() {
  echo "FAIL: $*"
  exit 1
}

# Two sorted lists that have to be one.
compare() {
  diff -u "$1" "$2" || fail "$3"
}

[ "${CROSS:-false}" = false ] || skip "built for another machine"
command -v pkg-config >/dev/null || skip "there is no pkg-config"
meson=${MESON:-meson}
work=$BUILD_ROOT/tests/install
top=$work/root$PREFIX
soname=libgust.so.${LIBRARY_VERSION%%.*}
rm -rf "$work"
mkdir -p "$work"

# --- files ----------------------------------------------------------------------------

# `ninja uninstall` reads the log of the last installation, which is not to be this one,
# however it ends.
log=$BUILD_ROOT/meson-logs/install-log.txt
put_log_back() {
  if [ -f "$work/log" ]; then mv "$work/log" "$log"; else rm -f "$log"; fi
  trap - EXIT HUP INT TERM
}
[ ! -f "$log" ] || cp "$log" "$work/log"
trap put_log_back EXIT
trap 'exit 1' HUP INT TERM
DESTDIR=$work/root "$meson" install -C "$BUILD_ROOT" --no-rebuild >"$work/install.txt" 2>&1 ||
  { cat "$work/install.txt" && fail "meson install"; }
put_log_back

# What says which version this is says the same; NEWS.md and the changelog begin with it.
version=$("$top/$BINDIR/gust" --version | sed 's/^gust //')
[ "$version" = "$VERSION" ] || fail "gust --version: $version, meson.build: $VERSION"
news=$(sed -n 's/^## //p' "$SOURCE_ROOT/NEWS.md" | sed 1q)
[ "$news" = "$VERSION" ] || fail "NEWS.md: $news, meson.build: $VERSION"
changelog=$(sed -n '1s/^gust (\([^)]*\)).*/\1/p' "$SOURCE_ROOT/debian/changelog")
[ "$changelog" = "$VERSION" ] || fail "debian/changelog: $changelog, meson.build: $VERSION"
{
  echo "$BINDIR/gust"
  echo "$INCLUDEDIR/gust.h"
  echo "$LIBDIR/pkgconfig/gust.pc"
  for kind in $KINDS; do
    case $kind in
      static) echo "$LIBDIR/libgust.a" ;;
      shared) printf '%s\n' "$LIBDIR/libgust.so" "$LIBDIR/$soname" \
        "$LIBDIR/libgust.so.$LIBRARY_VERSION" ;;
    esac
  done
  for page in gust $(printf 'gust-%s ' $COMMANDS); do echo "$MANDIR/man1/$page.1"; done
  echo "$DATADIR/bash-completion/completions/gust"
  echo "$DATADIR/zsh/site-functions/_gust"
  echo "$DATADIR/fish/vendor_completions.d/gust.fish"
  for file in README.md config.json generation_config.json model-00001-of-00002.safetensors \
    model-00002-of-00002.safetensors model.safetensors.index.json tokenizer.json tokenizer.model \
    tokenizer_config.json; do
    echo "$DATADIR/gust/models/demo/$file"
  done
  echo "$DATADIR/gust/models/demo-q4.gust"
  for file in LICENSE NEWS.md README.md docs/ARCHITECTURE.md docs/BENCHMARKS.md \
    docs/CALIBRATION.md docs/CONTRIBUTING.md docs/FAULTS.md docs/FORMAT.md docs/FUZZING.md \
    docs/INSTALL.md docs/NUMERICS.md docs/QUALITY.md docs/SESSIONS.md docs/chat-session.txt \
    docs/example.c; do
    echo "$DATADIR/doc/gust/$file"
  done
} | LC_ALL=C sort >"$work/expected"
(cd "$top" && find . ! -type d | sed 's,^\./,,') | LC_ALL=C sort >"$work/found"
compare "$work/expected" "$work/found" "other files than these were installed"

# Links in the documentation lead to what is installed.
for page in "$top/$DATADIR/doc/gust"/*.md "$top/$DATADIR/doc/gust/docs"/*.md; do
  for link in $(grep -o ']([^)]*)' "$page" | sed 's/^](//; s/[#)].*//'); do
    case $link in
      http*) ;;
      *) [ -e "$(dirname "$page")/$link" ] || fail "$page: a link to $link, which is not installed" ;;
    esac
  done
done

# --- symbols --------------------------------------------------------------------------

# Every function declared in gust.h: statements with a name of ours before a
# parenthesis that define no type.
awk '
  !/^#/ { text = text $0 "\n" }
  END {
    while ((at = index(text, "/*")) > 0)
      text = substr(text, 1, at - 1) substr(text, at + 2 + index(substr(text, at + 2), "*/"))
    count = split(text, statements, ";")
    for (i = 1; i <= count; i++)
      if (statements[i] !~ /typedef/ && match(statements[i], /gust_[a-z0-9_]+\(/))
        print substr(statements[i], RSTART, RLENGTH - 1)
  }' "$top/$INCLUDEDIR/gust.h" | LC_ALL=C sort >"$work/api"
[ "$(wc -l <"$work/api")" -gt 40 ] || fail "gust.h: where are its functions?"
sed -n 's/^ \(gust_[a-z0-9_]*\)@.*/\1/p' "$SOURCE_ROOT/debian/libgust0.symbols" |
  LC_ALL=C sort >"$work/debian"
compare "$work/api" "$work/debian" "debian/libgust0.symbols: not the functions of gust.h"

# Without what a build that counts lines adds.
for kind in $KINDS; do
  case $kind in
    static) nm -g --defined-only "$top/$LIBDIR/libgust.a" ;;
    shared) nm -D --defined-only "$top/$LIBDIR/libgust.so" ;;
  esac | awk 'NF == 3 { print $3 }' | grep -v -e '^__gcov_' -e '^mangle_path$' |
    LC_ALL=C sort >"$work/symbols-$kind"
  compare "$work/api" "$work/symbols-$kind" "the $kind library: not the functions of gust.h"
done

# --- another project --------------------------------------------------------------------

PKG_CONFIG_PATH=$top/$LIBDIR/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
PKG_CONFIG_SYSROOT_DIR=$work/root
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
[ "$(pkg-config --modversion gust)" = "$version" ] || fail "gust.pc: not version $version"
for option in -lgust -lm -pthread; do
  case " $(pkg-config --static --libs gust) " in
    *" $option "*) ;;
    *) fail "gust.pc: no $option to link the static library with" ;;
  esac
done

cp -R "$SOURCE_ROOT/tests/consumer" "$work/consumer"
cp "$SOURCE_ROOT/docs/example.c" "$work/consumer"
{
  "$meson" setup "$work/consumer-build" "$work/consumer" \
    -Dkinds="$(echo "$KINDS" | tr ' ' ',')" </dev/null &&
    "$meson" compile -C "$work/consumer-build"
} >"$work/consumer.txt" 2>&1 || { cat "$work/consumer.txt" && fail "building the consumer"; }

answer='I am the demo model of gust, a tiny language model with about eight million parameters.'
answer="$answer I can tell short stories and chat a little."
demo=$top/$DATADIR/gust/models
for kind in $KINDS; do
  example=$work/consumer-build/example-$kind
  readelf -d "$example" | grep -qF "[$soname]" && needed=shared || needed=static
  [ "$needed" = "$kind" ] || fail "$example is linked with the $needed library"
  got=$(LD_LIBRARY_PATH="$top/$LIBDIR" "$example" "$demo/demo-q4.gust" 'Who are you?')
  [ "$got" = "$answer" ] || fail "$kind: expected '$answer', got '$got'"
done

# The lines of docs/INSTALL.md, as they stand there, with the compiler of this build.
for kind in $KINDS; do
  line=$(grep '^ *cc example\.c ' "$SOURCE_ROOT/docs/INSTALL.md" |
    if [ "$kind" = static ]; then grep -e -Bstatic; else grep -v -e -Bstatic; fi)
  [ -n "$line" ] || fail "docs/INSTALL.md: no line that links with the $kind library"
  (
    cc() { command ${CC:-cc} "$@"; }
    cd "$work/consumer"
    eval "$line" # not quoted there: it is what a user types
    LD_LIBRARY_PATH="$top/$LIBDIR" ./example "$demo/demo-q4.gust" 'Who are you?'
  ) >"$work/line.txt" 2>&1 || { cat "$work/line.txt" && fail "docs/INSTALL.md: $line"; }
  [ "$(cat "$work/line.txt")" = "$answer" ] || fail "$line: got '$(cat "$work/line.txt")'"
  readelf -d "$work/consumer/example" | grep -qF "[$soname]" && needed=shared || needed=static
  [ "$needed" = "$kind" ] || fail "$line: linked with the $needed library"
done

# --- the program with what was installed beside it -------------------------------------------

got=$(echo 'Who are you?' | "$top/$BINDIR/gust" chat --quiet --temp 0 "$demo/demo-q4.gust")
[ "$got" = "$answer" ] || fail "gust chat: expected '$answer', got '$got'"
"$top/$BINDIR/gust" convert --quiet "$demo/demo" -o "$work/demo.gust"
cmp "$work/demo.gust" "$demo/demo-q4.gust" || fail "the installed checkpoint makes another file"
echo "$(wc -l <"$work/found") files, $(wc -l <"$work/api") functions, linked: $KINDS"
rm -rf "$work"
