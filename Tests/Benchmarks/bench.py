#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How our tunnel compares with wireguard-go: Debian's, and those that MARTLET_RIVAL names.

usage: bench.py [FIGURE...]      all of them without; `bench.py --list` names them

    MARTLET_RIVAL=PATH[,PATH]    more daemons that are called as wireguard-go is
    MARTLET_BENCH=NAME[,NAME]    the same as arguments
    MARTLET_ROUNDS=5             how many rounds; each measures every tunnel once
    MARTLET_SECONDS=2            how long one transfer lasts
    MARTLET_RESUME=1             keeps the figures that an earlier run finished
    MARTLET_RESULTS=DIRECTORY    where results go (Documentation/Benchmarks, if all figures are measured)

Run it with `make bench` on a quiet machine. Packages: iperf3, wireguard-go, wireguard-tools, util-linux.
"""
import contextlib, json, os, pathlib, re, shutil, sys, time, traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import BINARIES, ROOT, Skip, require_programs, require_root, require_tool, run, scratch
import bed as beds
import figures
from results import Results

DEBIAN = "wireguard-go"


def rivals():
    """Debian's wireguard-go, then what MARTLET_RIVAL names, each called by its version."""
    programs = [DEBIAN, *filter(None, os.environ.get("MARTLET_RIVAL", "").split(","))]
    found = []
    for program in programs:
        require_tool(program)
        found.append(beds.Rival(label(program, [rival.label for rival in found]), program))
    return found


def label(program, taken):
    told = run(program, "--version", check=False)
    first = (told.stdout + told.stderr).strip().splitlines()[:1]
    version = re.search(r"\d+(\.\d+)+", first[0]) if first else None
    name = pathlib.Path(program).name + (f" {version[0]}" if version else "")
    return name if name not in taken else f"{name} ({len(taken)})"


def chosen():
    """The figures that are wanted, by bed."""
    wanted = [*sys.argv[1:], *filter(None, os.environ.get("MARTLET_BENCH", "").split(","))]
    names = [figures.name_of(figure) for _, group in figures.BEDS for figure in group]
    if "--list" in wanted:
        print("\n".join(names))
        raise SystemExit(0)
    if unknown := set(wanted) - set(names):
        raise SystemExit(f"no such figure: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return [(options, [figure for figure in group if not wanted or figures.name_of(figure) in wanted])
            for options, group in figures.BEDS]


@contextlib.contextmanager
def made(options, directory, settings):
    """The bed that `options` describe; None where none is needed."""
    if options is None:
        yield None
        return
    keys = []
    if options.get("handshakes"):
        told = run(BINARIES / "martlet-bench", "handshakes", "--keys", "--peers", beds.HANDSHAKE_PEERS).stdout
        keys = json.loads(told)["keys"]
    with beds.bed(directory, settings.rivals, options["mtu"], options.get("pinned", False), keys) as ready:
        yield ready


def bench():
    groups = chosen()
    require_programs("martletd", "martlet", "martlet-control", "martlet-bench")
    require_root()
    require_tool("iperf3", "wg", "taskset", "ping")
    settings = figures.Settings(int(os.environ.get("MARTLET_ROUNDS", "5")), float(os.environ.get("MARTLET_SECONDS", "2")),
                                rivals())
    # A part of the figures does not take the place of all.
    kept, isWhole = ROOT / ".build-release/bench", groups == figures.BEDS
    documents = pathlib.Path(os.environ.get("MARTLET_RESULTS") or (ROOT / "Documentation/Benchmarks" if isWhole else kept))
    results = Results(kept / ("raw.json" if isWhole else "part.json"), documents, settings)
    if os.environ.get("MARTLET_RESUME"):
        results.resume()
    begun, failed = time.monotonic(), []
    with scratch("martlet-bench-") as directory:
        for number, (options, group) in enumerate(groups):
            left = [figure for figure in group if figures.name_of(figure) not in results.figures]
            if options and options.get("pinned") and len(os.sched_getaffinity(0)) < 2:
                print("pinned: this machine has one core")
                left = []
            if left:
                failed += measure(left, options, directory / str(number), settings, results)
    print(f"{time.monotonic() - begun:.0f} s; results: {documents}/results.md")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}; MARTLET_RESUME=1 keeps the others")


def measure(group, options, directory, settings, results):
    """Measures figures on one bed; the names of those that failed."""
    failed = []
    try:
        with made(options, directory, settings) as bed:
            for figure in group:
                name, begun = figures.name_of(figure), time.monotonic()
                try:
                    results.add(name, figure(bed, settings))
                    show(results, name, time.monotonic() - begun)
                except Exception:
                    traceback.print_exc()
                    failed.append(name)
    except Exception:
        traceback.print_exc()
        failed += [figures.name_of(figure) for figure in group if figures.name_of(figure) not in results.figures]
    return failed


def show(results, name, seconds):
    print(f"--- {name} ({seconds:.0f} s)", flush=True)
    for case in results.figures[name]:
        line = results.line(case)
        for key in ("timesAsGood", "shareOfWire", "arrived", "values"):
            for label, (middle, least, most) in line.get(key, {}).items():
                print(f"{case.name:62} {key:12} {label:26} {middle:8.3g}  {least:.3g} to {most:.3g}", flush=True)


if __name__ == "__main__":
    try:
        bench()
    except Skip as reason:
        print(f"skip: {reason}")
