# Finds what building needs and installs what is missing, saying so. To be read
# with `.` by the scripts beside it, with $root set to the source root.
#
#   need_tools          sets CC (unless set) and MESON
#   need_command CMD PACKAGE
#   need_library NAME PACKAGE
#   need_debian_tools   what building and checking Debian packages takes
#   need_arm_tools      what scripts/cross/aarch64-linux-gnu.ini names
#   need_macos_tools    what scripts/check_macos.sh compiles with
#   need_musl_tools     what scripts/cross/x86_64-linux-musl.ini names
#   need_windows_tools  what scripts/cross/x86_64-w64-mingw32.ini names, and wine's
#                       environment
#   keep_wine_running   until this script ends

say() {
  echo "$*" >&2
}

die() {
  say "$0: $*"
  exit 1
}

# As root; only ever called when something is missing.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null 2>&1; then
    sudo "$@"
  else
    die "installing needs root: become root or install sudo, or install by hand: $*"
  fi
}

install_packages() {
  command -v apt-get >/dev/null 2>&1 ||
    die "missing: $* (install what provides it; this system has no apt-get)"
  say "Installing $* with apt-get."
  if [ -z "${apt_updated:-}" ]; then
    as_root apt-get update -qq </dev/null >&2 || die "apt-get update failed"
    apt_updated=yes
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" \
    </dev/null >&2 || die "apt-get could not install $*"
}

need_command() {
  command -v "$1" >/dev/null 2>&1 || install_packages "$2"
  command -v "$1" >/dev/null 2>&1 || die "$1 is still missing after installing $2"
}

# What pkg-config knows as $1.
need_library() {
  need_command pkg-config pkg-config
  pkg-config --exists "$1" || install_packages "$2"
  pkg-config --exists "$1" || die "pkg-config does not know $1 after installing $2"
}

# Whether $1 is a meson of version 1.0 or later.
is_new_meson() {
  version=$("$1" --version 2>/dev/null) || return 1
  major=${version%%.*}
  case "$major" in
    '' | *[!0-9]*) return 1 ;;
  esac
  [ "$major" -ge 1 ]
}

# Older distributions package a meson before 1.0; then a private one is put into
# a Python environment below the source root.
need_meson() {
  export MESON # for tests
  MESON=$root/build-tools/bin/meson
  is_new_meson "$MESON" && return
  MESON=meson
  is_new_meson "$MESON" && return
  if ! command -v meson >/dev/null 2>&1; then
    install_packages meson
    is_new_meson "$MESON" && return
  fi
  say "meson $(meson --version 2>/dev/null) is older than 1.0: installing a newer one into" \
    "$root/build-tools with pip."
  python3 -c 'import ensurepip' >/dev/null 2>&1 || install_packages python3-venv
  python3 -m venv "$root/build-tools" </dev/null >&2 || die "python3 -m venv failed"
  "$root/build-tools/bin/pip" install -q 'meson>=1.0,<2' </dev/null >&2 ||
    die "pip could not install meson"
  MESON=$root/build-tools/bin/meson
  is_new_meson "$MESON" || die "$MESON does not run"
}

need_tools() {
  if [ -z "${CC:-}" ]; then
    for CC in cc gcc clang ''; do
      [ -n "$CC" ] && command -v "$CC" >/dev/null 2>&1 && break
    done
    if [ -z "$CC" ]; then
      install_packages gcc libc6-dev
      CC=gcc
    fi
  fi
  # Programs and then options, such as "ccache gcc -m64".
  for word in $CC; do
    case "$word" in
      -*) break ;;
      *) need_command "$word" "$word" ;;
    esac
  done
  # A compiler without the C library's headers is as good as none.
  echo 'int main(void) { return 0; }' | $CC -include stdio.h -x c -o /dev/null - 2>/dev/null ||
    install_packages libc6-dev
  export CC
  need_meson
  command -v ninja >/dev/null 2>&1 || command -v samu >/dev/null 2>&1 ||
    need_command ninja ninja-build
}

need_arm_tools() {
  need_command aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
  need_command qemu-aarch64 qemu-user
  [ -f /usr/aarch64-linux-gnu/include/stdio.h ] || install_packages libc6-dev-arm64-cross
}

need_musl_tools() {
  need_command gcc gcc # which musl-gcc calls
  need_command musl-gcc musl-tools
  need_command qemu-x86_64 qemu-user # stands in for an old processor
}

# Debian keeps wine64 out of PATH. The folder it keeps its state in takes seconds to
# make; it is kept between runs, but never the user's own.
need_windows_tools() {
  need_command x86_64-w64-mingw32-gcc gcc-mingw-w64-x86-64
  [ -d /usr/lib/wine ] && PATH=$PATH:/usr/lib/wine
  command -v wine64 >/dev/null 2>&1 || install_packages wine64
  [ -d /usr/lib/wine ] && PATH=$PATH:/usr/lib/wine
  need_command wine64 wine64
  WINEPREFIX=${WINEPREFIX:-$root/build-wine}
  WINEDEBUG=${WINEDEBUG:--all}
  export PATH WINEPREFIX WINEDEBUG
  unset DISPLAY
  # Before the tests: programs started at the same time must not all make it.
  [ -f "$WINEPREFIX/system.reg" ] || wine64 wineboot --init </dev/null >/dev/null 2>&1 ||
    die "wine64 could not make the folder $WINEPREFIX"
}

# A test that finds no wine running starts its services, which keep that test's output
# open after its end: meson would wait until they end as well.
keep_wine_running() {
  tail -f --pid=$$ /dev/null | wine64 cmd.exe >/dev/null 2>&1 &
  wine64 cmd.exe /c exit </dev/null >/dev/null 2>&1
}

need_macos_tools() {
  need_command clang clang
  need_command lld lld
  need_command ninja ninja-build
}

need_debian_tools() {
  need_command dpkg-buildpackage dpkg-dev
  need_command dh debhelper
  need_command lintian lintian
  need_command pkg-config pkg-config
  dpkg-checkbuilddeps "$root/debian/control" >/dev/null 2>&1 || install_packages build-essential meson
}
