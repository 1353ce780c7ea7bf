#!/usr/bin/env python3
"""Of a build's compile_commands.json, one command for each C file of the tree.

    python3 scripts/one_command_each.py BUILD [BUILD_BEFORE]...

Some files are compiled twice, with other arguments: the first command is the one that
counts. Files that a BUILD_BEFORE has are left out. Writes BUILD/lint/compile_commands.json
and prints the files, which may be none.
"""
import json
import os
import sys


def commands_of(build):
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        return json.load(file)


def source_of(command):
    return os.path.normpath(os.path.join(command["directory"], command["file"]))


root = os.getcwd()
build = sys.argv[1]
seen = {source_of(command) for before in sys.argv[2:] for command in commands_of(before)}
kept = []
for command in commands_of(build):
    source = source_of(command)
    generated = os.path.relpath(source, root).startswith("build")
    if source not in seen and source.endswith(".c") and not generated:
        seen.add(source)
        kept.append(dict(command, file=source))
folder = os.path.join(build, "lint")
os.makedirs(folder, exist_ok=True)
with open(os.path.join(folder, "compile_commands.json"), "w", encoding="utf-8") as file:
    json.dump(kept, file, indent=1)
for command in kept:
    print(os.path.relpath(command["file"], root))
