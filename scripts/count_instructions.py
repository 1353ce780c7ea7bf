#!/usr/bin/env python3
"""Counts the instructions of AArch64 kernels' inner loops, where nothing can be timed.

    aarch64-linux-gnu-objdump -d build-arm/kernels/libgust_neon.a | scripts/count_instructions.py

An inner loop is a branch backwards with no other one inside. Of each function's inner
loops that multiply, the one with the fewest instructions per multiply-add is printed, as a
line of a Markdown table; loops that prefetch (in the quantized products: those of one
token) and loops that do not are told apart. Where there are integer multiplications only
they count: the others scale their sums.
"""
import re
import sys

# Multiply-adds of an instruction, by name and type of what it writes.
INTEGER = {"smmla .4s": 32, "sdot .4s": 16}
INTEGER.update({name + " .8h": 8 for name in ("smull", "smull2", "smlal", "smlal2")})
FLOAT = {"fmla .4s": 4}
BRANCH = re.compile(r"b\.|b$|cbn?z|tbn?z")
MEMORY = re.compile(r"ld|st|prfm")


def functions(lines):
    """Yields a function's name and its instructions: address, name, operands."""
    name, body = None, []
    for line in lines:
        start = re.match(r"[0-9a-f]+ <(.+)>:", line)
        code = re.match(r"\s*([0-9a-f]+):\t[0-9a-f]+ \t(\S+)\s*(.*)", line)
        if start:
            if name:
                yield name, body
            name, body = start.group(1), []
        elif code:
            body.append((int(code.group(1), 16), code.group(2), code.group(3)))
    if name:
        yield name, body


def inner_loops(body):
    index = {address: i for i, (address, _, _) in enumerate(body)}
    loops = []
    for end, (_, name, operands) in enumerate(body):
        target = re.search(r"([0-9a-f]+) <", operands)
        if BRANCH.match(name) and target:
            start = index.get(int(target.group(1), 16), end + 1)
            if start <= end:
                loops.append((start, end))
    for start, end in loops:
        if not any((s, e) != (start, end) and start <= s and e <= end for s, e in loops):
            yield [(name, operands) for _, name, operands in body[start : end + 1]]


def count(loop, table):
    return sum(table.get(f"{name} {operands[operands.find('.'):][:3]}", 0) for name, operands in loop)


print("| kernel | prefetches | instructions | loads and stores | multiply-adds | per multiply-add |")
print("|---|---|---|---|---|---|")
for name, body in functions(sys.stdin):
    best = {}
    for loop in inner_loops(body):
        products = count(loop, INTEGER) or count(loop, FLOAT)
        if not products:
            continue
        memory = sum(1 for op, _ in loop if MEMORY.match(op))
        row = (len(loop) / products, len(loop), memory, products)
        kind = "yes" if any(op == "prfm" for op, _ in loop) else "no"
        best[kind] = min(best.get(kind, row), row)
    for kind, (rate, length, memory, products) in sorted(best.items()):
        print(f"| {name} | {kind} | {length} | {memory} | {products} | {rate:.3f} |")
