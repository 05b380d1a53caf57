# SPDX-License-Identifier: Apache-2.0
"""Runs a program under callgrind and reads what each function executed and how often it was called."""
import collections, pathlib, re, subprocess, tempfile

NAME = re.compile(r"^(c?fn)=\((\d+)\)(?: (.*))?$")
COST = re.compile(r"^[+\-*\d]\S* (\d+)")
CALLS = re.compile(r"^calls=(\d+)")


def profile(command, inside):
    """What ran inside the functions whose names match `inside`: instructions and calls by function."""
    with tempfile.TemporaryDirectory(prefix="martlet-callgrind-") as directory:
        out = pathlib.Path(directory) / "out"
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", "-q", f"--callgrind-out-file={out}", f"--toggle-collect={inside}",
             "--dump-line=no", *map(str, command)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=300)
        if done.returncode != 0 or not out.exists():
            raise RuntimeError(f"callgrind of `{' '.join(map(str, command))}` ended with {done.returncode}: {done.stdout}")
        return read(out.read_text())


def read(text):
    """Instructions that each function executed itself, and how often it was called."""
    names, instructions, calls = {}, collections.Counter(), collections.Counter()
    current = callee = None
    isCall = False
    for line in text.splitlines():
        if named := NAME.match(line):
            kind, number, name = named.groups()
            if name:
                names[number] = name
            if kind == "fn":
                current = names[number]
            else:
                callee = names[number]
        elif called := CALLS.match(line):
            calls[callee] += int(called[1])
            isCall = True
        elif cost := COST.match(line):
            # The line after `calls=` tells what the called function cost, which is told there too.
            if not isCall and current is not None:
                instructions[current] += int(cost[1])
            isCall = False
    return instructions, calls
