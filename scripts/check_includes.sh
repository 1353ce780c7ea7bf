#!/bin/sh
# Checks the rules of docs/ARCHITECTURE.md on who may include whom, that file
# names are unique in the tree, and that no test is left out of the build.
#
#   sh scripts/check_includes.sh [SOURCE_ROOT]
set -u
cd "${1:-$(dirname "$0")/..}" || exit 1

# The headers that stand in for those of a system are named as those are.
find kernels src quantize bench tests docs scripts -path tests/macos_headers -prune -o -type f \
  \( -name '*.[ch]' -o -name '*.sh' -o -name '*.py' -o -name '*.md' \) -print |
  awk '
    function folder_of(path) { sub(/\/[^\/]*$/, "", path); return path }
    function name_of(path) { sub(/.*\//, "", path); return path }
    function broken(text) { print text; failures++ }

    # What the files of a folder may include of the others; "FOLDER/*" is all.
    BEGIN {
      allowed["kernels"] = ""
      allowed["src"] = "kernels/*"
      allowed["src/cli"] = "src/gust.h kernels/os.h kernels/random64.h"
      allowed["quantize"] = "kernels/* src/gust.h src/format.h src/status.h src/tokenizer.h " \
        "src/checksum.h"
      commands_too = "src/cli/*" # for quantize/cmd_*.c
    }

    {
      paths[++count] = $0
      name = name_of($0)
      # Folders that stand in for another one repeat its names on purpose.
      if ($0 ~ /^tests\/(emulated_|macos_headers)/) next
      if (name in place) broken(name ": two files of this name: " place[name] " " $0)
      place[name] = $0
    }

    function may_include(path, folder, header,    list, words, n, i) {
      if (folder_of(header) == folder) return 1
      list = allowed[folder]
      if (path ~ /^quantize\/cmd_[^\/]*\.c$/) list = list " " commands_too
      n = split(list, words, " ")
      for (i = 1; i <= n; i++)
        if (words[i] == header || words[i] == folder_of(header) "/*") return 1
      return 0
    }

    function check(path,    folder, line, name) {
      folder = folder_of(path)
      if (path !~ /\.[ch]$/ || !(folder in allowed)) return
      checked++
      while ((getline line < path) > 0) {
        if (line !~ /^[ \t]*#[ \t]*include[ \t]*["<]/) continue
        name = line
        sub(/^[^"<]*["<]/, "", name)
        sub(/[">].*/, "", name)
        name = name_of(name)
        if (line ~ /^[^"<]*</) {
          # None of our own may hide among the headers of the system.
          if (name in place) broken(path ": write #include \"" name "\", with quotes")
        } else if (!(name in place)) {
          broken(path ": includes " name ", which is not in the tree")
        } else if (!may_include(path, folder, place[name])) {
          broken(path ": may not include " place[name])
        }
      }
      close(path)
    }

    # tests/test_NAME.c and fuzz_NAME.c stand in tests/meson.build.
    function check_listed(path,    name, short) {
      if (path !~ /^tests\/(test|fuzz)_[^\/]*\.c$/) return
      name = short = name_of(path)
      sub(/^[a-z]*_/, "", short)
      sub(/\.c$/, "", short)
      if (!index(listed, quote name quote) && !index(listed, quote short quote))
        broken(path ": is not in tests/meson.build")
    }

    END {
      quote = sprintf("%c", 39)
      while ((getline line < "tests/meson.build") > 0) listed = listed line "\n"
      for (i = 1; i <= count; i++) check_listed(paths[i])
      for (i = 1; i <= count; i++) check(paths[i])
      if (!checked) broken("no source files found")
      printf "%d files checked, %d broken rules\n", checked, failures
      exit failures > 0
    }'
