#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the per-packet path to a budget of instructions, and to no allocation at all.

Clocks lie on a busy machine; a count of instructions does not. `martlet-bench packets` carries packets from one
pipeline to another under callgrind, for N runs and for 2N: the difference is the steady state. The cipher is left
out: which one runs depends on the processor.

Looking addresses up among prefixes and judging packets by rules must not cost more the more there are: that is
compared within one run, table by table.

usage: instructions.py [KIND...]    all kinds and the look-ups without
       instructions.py lookups      the look-ups alone
       instructions.py --write      puts what is measured into instructions.json, as the budget
       instructions.py --explain KIND DIRECTION    where the instructions go
"""
import concurrent.futures, json, os, pathlib, re, shutil, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import BINARIES, Skip, require_programs, require_tool
import callgrind

BUDGET = pathlib.Path(__file__).with_name("instructions.json")
KINDS = ("tcp-train", "tcp6-train", "tcp-ack", "udp-train", "udp-1200", "udp-64")
DIRECTIONS = {"outbound": "*measuredOutbound*", "inbound": "*measuredInbound*"}
PACKETS_A_RUN, RUNS = 40, 25
CIPHER = re.compile(r"boringssl|chacha|poly1305|aead|\bimb_|ipsec_mb|pthread_once", re.IGNORECASE)
#: How many prefixes and rules are compared with the fewest, and how much more the most may cost.
LOOKUPS = {"prefixes": (10, 1000, 100_000), "rules": (10, 1000, 10_000)}
LOOKUPS_SLACK = 1.5
LOOKUPS_A_ROUND = 1024
ALLOCATION = re.compile(r"^_*(libc_)?(malloc|calloc|realloc|memalign|posix_memalign|aligned_alloc)$")


def difference(kind, direction):
    """What one packet costs in the steady state, by function: instructions and calls."""
    counts = []
    for runs in (RUNS, 2 * RUNS):
        command = [BINARIES / "martlet-bench", "packets", "--kind", kind, "--count", runs]
        counts.append(callgrind.profile(command, DIRECTIONS[direction]))
    (before, calls_before), (after, calls_after) = counts
    packets = RUNS * PACKETS_A_RUN
    return ({name: (after[name] - before[name]) / packets for name in after},
            {name: (calls_after[name] - calls_before[name]) / packets for name in calls_after})


def measure(kind, direction):
    instructions, calls = difference(kind, direction)
    if not instructions:
        raise RuntimeError(f"callgrind saw nothing of {direction}: were the names stripped from martlet-bench?")
    # Callgrind counts a call wherever it happens, and tells of it if any of its kind happened inside what is
    # measured; instructions it counts inside only. Where allocation takes none of them, there is none.
    made = {name for name in instructions if ALLOCATION.match(name.split("'")[0])}
    isAllocating = sum(instructions[name] for name in made) > 0
    return {"instructions": round(sum(count for name, count in instructions.items() if not CIPHER.search(name)), 1),
            "cipher": round(sum(count for name, count in instructions.items() if CIPHER.search(name)), 1),
            "allocations": round(sum(calls[name] for name in made), 3) if isAllocating else 0}


def measure_all(kinds):
    pairs = [(kind, direction) for kind in kinds for direction in DIRECTIONS]
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return dict(zip(pairs, pool.map(lambda pair: measure(*pair), pairs)))


def judge(kind, direction, found, budget):
    """What is wrong, in sentences."""
    slack, allowed = budget["slack"], budget["kinds"][kind][direction]
    limit = allowed["instructions"] * (1 + slack)
    if found["instructions"] > limit:
        more = (found["instructions"] / allowed["instructions"] - 1) * 100
        yield (f"a {kind} packet takes {found['instructions']:.0f} instructions {direction} besides the cipher, "
               f"{more:.0f} % more than the budget of {allowed['instructions']:.0f}; "
               f"`Tests/Benchmarks/instructions.py --explain {kind} {direction}` tells where they go")
    if found["allocations"] > allowed["allocations"] + 0.01:
        yield (f"a {kind} packet allocates {found['allocations']:g} times {direction}, "
               f"and may {allowed['allocations']:g} times")


def lookup(table, size):
    """Instructions of one look-up: a second round over the same table leaves its start out."""
    counts = []
    for rounds in (1, 2):
        command = [BINARIES / "martlet-bench", "lookups", "--table", table, "--size", size, "--rounds", rounds]
        instructions, _ = callgrind.profile(command, "*measuredTurn*")
        counts.append(sum(instructions.values()))
    if not counts[0]:
        raise RuntimeError("callgrind saw no look-ups: were the names stripped from martlet-bench?")
    return (counts[1] - counts[0]) / LOOKUPS_A_ROUND


def check_lookups():
    """What is wrong with tables whose look-ups cost more the larger they are, in sentences."""
    pairs = [(table, size) for table, sizes in LOOKUPS.items() for size in sizes]
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        found = dict(zip(pairs, pool.map(lambda pair: lookup(*pair), pairs)))
    wrong = []
    for table, (least, *more) in LOOKUPS.items():
        for size in more:
            ratio = found[table, size] / found[table, least]
            isFine = ratio <= LOOKUPS_SLACK
            print(f"{'ok' if isFine else 'not ok'} a look-up among {size:,} {table} takes {found[table, size]:.0f} instructions, "
                  f"{ratio:.2f} times as many as among {least}; {LOOKUPS_SLACK:g} are allowed", flush=True)
            if not isFine:
                wrong.append(f"a look-up among {size:,} {table} takes {ratio:.2f} times the instructions of one among {least}")
    return wrong


def check(kinds, withLookups):
    budget = json.loads(BUDGET.read_text())
    wrong = check_lookups() if withLookups else []
    for (kind, direction), found in measure_all(kinds).items():
        sentences = list(judge(kind, direction, found, budget))
        wrong += sentences
        print(f"{'not ok' if sentences else 'ok'} {kind:10} {direction:8} {found['instructions']:7.0f} instructions a packet of "
              f"{budget['kinds'][kind][direction]['instructions']:.0f} and {budget['slack'] * 100:.0f} %; cipher "
              f"{found['cipher']:.0f}; allocations {found['allocations']:g}", flush=True)
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    sys.exit(1 if wrong else 0)


def write():
    """Takes what is measured as the budget; allocations are never taken over, only those that stand there."""
    kinds = {kind: {} for kind in KINDS}
    for (kind, direction), found in measure_all(KINDS).items():
        kinds[kind][direction] = {"instructions": round(found["instructions"]), "allocations": 0}
        print(kind, direction, found)
    BUDGET.write_text(json.dumps({"slack": 0.15, "kinds": kinds}, indent=2) + "\n")


def explain(kind, direction):
    instructions, calls = difference(kind, direction)
    demangle = shutil.which("swift")
    for name, count in sorted(instructions.items(), key=lambda pair: -pair[1])[:40]:
        print(f"{count:9.1f}  called {calls.get(name, 0):7.3f} times  {plain(name, demangle)}")


def plain(name, swift):
    """A function's name as it stands in the source."""
    if not swift or "$s" not in name:
        return name
    import subprocess
    return subprocess.run([swift, "demangle", "--simplified", "--compact", name], stdout=subprocess.PIPE, text=True).stdout.strip()


if __name__ == "__main__":
    try:
        require_programs("martlet-bench")
        require_tool("valgrind")
        if "--write" in sys.argv:
            write()
        elif "--explain" in sys.argv:
            explain(*sys.argv[sys.argv.index("--explain") + 1:][:2])
        else:
            asked = sys.argv[1:] or [*KINDS, "lookups"]
            check([kind for kind in KINDS if kind in asked], "lookups" in asked)
    except Skip as reason:
        print(f"skip: {reason}")
