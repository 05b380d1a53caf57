#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lists the functions that a node needs while it does its everyday work, so that the linker puts them together.

Runs the daemon that was built last under callgrind, lets it become steady, forgets what was called until then, and
lets it idle and carry packets. What it called is written into Scripts/steady-functions. Needs root and valgrind.
"""
import pathlib, re, shutil, sys, tempfile, time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import bed, loads
from harness import ROOT, Control, Node, eventually, run

LIST = ROOT / "Scripts/steady-functions"
TITLE = """# SPDX-License-Identifier: Apache-2.0
# Written by Tests/Benchmarks/steady.py: what a node calls while it does its everyday work. The linker puts these
# functions together; a name that is no longer there does no harm.
"""
SETTLING, IDLING, CARRYING = 20, 75, 8


def main():
    with tempfile.TemporaryDirectory() as name, bed.hosts(pinned=False) as hosts:
        directory = pathlib.Path(name)
        traced = directory / "martletd"
        # Callgrind gives up on the compiler's notes for debuggers.
        run("strip", "--strip-debug", "-o", traced, ROOT / ".build-release/release/martletd")
        control = Control(hosts["server"], directory / "control", bed.UNDERLAY["server"]).start()
        far = Node(hosts["b"], directory / "b").start()
        far.up(control, None, "--hostname", "b")
        near = Traced(hosts["a"], directory / "a", traced).start()
        near.up(control, None, "--hostname", "a")
        eventually("the path is direct", lambda: near.reaches(far) and near.is_direct(far))
        time.sleep(SETTLING)
        run("callgrind_control", "--dump", near.daemon.pid)
        time.sleep(IDLING)
        carry(hosts, far.ip(4))
        carry(hosts, far.ip(6))
        run("callgrind_control", "--dump", near.daemon.pid)
        found = sorted(set(functions(pathlib.Path(f"{near.trace}.2"), traced)))
    LIST.write_text(TITLE + "".join(f"{name}\n" for name in found))
    print(f"{len(found)} functions are in {LIST.relative_to(ROOT)}")


class Traced(Node):
    """A node whose daemon runs under callgrind."""

    def __init__(self, host, directory, program):
        super().__init__(host, directory)
        self.trace = directory / "trace"
        self.daemon.name = shutil.which("valgrind")
        self.daemon.arguments = ["--tool=callgrind", "--demangle=no", f"--callgrind-out-file={self.trace}", str(program),
                                 *self.daemon.arguments]


def carry(hosts, address):
    """Bulk flows in both directions, and pings."""
    world = bed.Bed(hosts, 1280, None)
    for reverse in (False, True):
        loads.end_iperf(loads.begin_iperf(world, address, CARRYING, reverse=reverse))
    hosts["a"].run("ping", "-c", "5", "-i", "0.2", address)


def functions(trace, program):
    """The names of the program's functions in a profile of callgrind's, which tells each name once."""
    defined = {line.split()[-1] for line in run("nm", program).stdout.splitlines() if line.split()[-2] in "tTwW"}
    names, objects, place = {}, {}, None
    for line in trace.read_text(errors="replace").splitlines():
        found = re.match(r"(c?)(ob|fn)=\((\d+)\)(?: (.*))?", line)
        if not found:
            continue
        called, kind, number, text = found.groups()
        table = objects if kind == "ob" else names
        if text:
            table[number] = text
        if kind == "ob" and not called:
            place = table[number]
        if kind == "fn" and not called and place.endswith("/martletd"):
            # What calls itself is told apart by a number behind its name.
            name = names[number].split("'")[0]
            if name in defined:
                yield name


if __name__ == "__main__":
    main()
