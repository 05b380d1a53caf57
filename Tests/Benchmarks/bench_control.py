#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How many nodes our coordination server carries, and how fast it tells them: `make bench-control`.

usage: bench_control.py [NODES...]     1000 and 5000 without

    MARTLET_ROUNDS=20                  how often an endpoint changes
    MARTLET_RESULTS=DIRECTORY          where results go (Documentation/Benchmarks)

Server and nodes share the machine's processors. `martlet-bench control` plays the nodes: each has its own keys
and connection, and speaks the real protocol.
"""
import json, os, pathlib, resource, subprocess, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import BINARIES, ROOT, eventually, require_programs, run, scratch
from results import machine, write
import plot

PORT = 18_080
#: Name, where it stands in a run, unit, and the most it may be at 1,000 and at 5,000 nodes.
LIMITED = [
    ("One node's new endpoint is at all others, 99 of 100", ("endpoint", "p99Milliseconds"), "ms", (1000, 3000)),
    ("All come back at once: all have their maps", ("reconnect", "lastMilliseconds"), "ms", (20_000, 60_000)),
    ("All come back at once: nothing more is told", ("reconnect", "settledSeconds"), "s", (20, 60)),
    ("Resident memory, all connected", ("join", "residentMegabytes"), "MB", (200, 600)),
    ("Resident memory, all back again", ("reconnect", "residentMegabytes"), "MB", (200, 600)),
]
#: What does not depend on how fast the machine is.
COUNTED = [
    ("Most resident memory, MB", ("highestMegabytes",)),
    ("A whole map, compressed, KB", ("reconnect", "mapKilobytes")),
    ("A rule about one tag changes: nodes with the tag", ("policy", "nodesOfTag")),
    ("A rule about one tag changes: nodes looked at", ("policy", "examined")),
    ("A rule about one tag changes: nodes told something", ("policy", "changed")),
    ("A rule about one tag changes: messages sent", ("policy", "messages")),
]


def measure(nodes, rounds):
    """One server, loaded with that many nodes."""
    with scratch("mt-bench-control-") as directory:
        socket, log = directory / "control.sock", directory / "log"
        with open(log, "wb") as output:
            server = subprocess.Popen(
                [BINARIES / "martlet-control", "serve", "--listen", f"127.0.0.1:{PORT}", "--url", f"http://127.0.0.1:{PORT}",
                 "--state", directory / "state", "--socket", socket, "--log-level", "error"],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            eventually("the server answers", lambda: run(
                BINARIES / "martlet-control", "--socket", socket, "users", "list", check=False).returncode == 0)
            told = run(BINARIES / "martlet-bench", "control", "--socket", socket, "--port", PORT, "--pid", server.pid,
                       "--nodes", nodes, "--rounds", rounds, timeout=3600).stdout
            return json.loads(told)
        except BaseException:
            print(log.read_text(errors="replace")[-4000:], file=sys.stderr)
            raise
        finally:
            server.terminate()
            try:
                server.wait(timeout=60)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def value(run_, path):
    for name in path:
        run_ = run_[name]
    return run_


def goal(limits, nodes):
    """The most that is allowed at this many nodes; none where nothing was promised."""
    return None if limits is None else {1000: limits[0], 5000: limits[1]}.get(nodes)


def shown(number):
    return f"{number:,.0f}" if number >= 100 or number == int(number) else f"{number:.1f}"


def published(facts, busy, runs):
    """What may be compared on another machine: parts of what is allowed, and counts."""
    lines = []
    for run_ in runs:
        parts = {name: round(value(run_, path) / goal(limits, run_["nodes"]), 3)
                 for name, path, _, limits in LIMITED if goal(limits, run_["nodes"])}
        counts = {name: value(run_, path) for name, path in COUNTED}
        lines.append({"nodes": run_["nodes"], "partsOfAllowed": parts, "counts": counts})
    return {"machine": facts, "isMachineBusy": busy, "runs": lines}


def markdown(told):
    facts, runs = told["machine"], told["runs"]
    head = "| | " + " | ".join(f"{run_['nodes']:,} nodes" for run_ in runs) + " |\n|---" + "|---:" * len(runs) + "|\n"
    text = "<!-- Written by `make bench-control`. -->\n# The coordination server under load\n\n"
    text += (f"Server and simulated nodes together on {facts['cores']} cores ({facts['processor']}), {facts['kernel']}"
             f"{', beside other work' if told['isMachineBusy'] else ''}. Full mesh under a policy of 50 rules, "
             "10 groups and 20 tags. One run each. How to read this: [Benchmarks](../Benchmarks.md).\n\n"
             "![The figures as parts of what is allowed](control.svg)\n\n## Parts of what is allowed\n\n" + head)
    for name, _, unit, limits in LIMITED:
        cells = []
        for run_ in runs:
            part, most = run_["partsOfAllowed"].get(name), goal(limits, run_["nodes"])
            cells.append("" if part is None else f"{part * 100:.0f} % of {most:,} {unit} {'✓' if part <= 1 else '✗'}")
        text += f"| {name} | " + " | ".join(cells) + " |\n"
    text += "\n## Counts\n\n" + head
    for name, _ in COUNTED:
        text += f"| {name} | " + " | ".join(shown(run_["counts"][name]) for run_ in runs) + " |\n"
    return text


def draw(told):
    """Bars: each figure as a part of what is allowed."""
    canvas, at = plot.Canvas(), 70
    canvas.text(20, 34, "The coordination server: parts of what is allowed", "title")
    left, width = 380, 500
    for run_ in told["runs"]:
        if not run_["partsOfAllowed"]:
            continue
        canvas.text(20, at, f"{run_['nodes']:,} nodes", "head")
        at += 12
        for name, part in run_["partsOfAllowed"].items():
            length = width * min(part, 1.2) / 1.2
            canvas.text(left - 10, at + 13, name, "", "end")
            canvas.box(left, at + 4, length, 11, "c", 2)
            canvas.text(left + length + 6, at + 13, f"{part * 100:.0f} %", "value")
            at += 22
        canvas.line(left + width / 1.2, at - 22 * len(run_["partsOfAllowed"]), left + width / 1.2, at, "goal")
        at += 30
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {plot.WIDTH} {at}" width="{plot.WIDTH}" height="{at}" '
            f'role="img" aria-label="Figures of the coordination server as parts of what is allowed">\n<style>{plot.STYLE}</style>\n'
            f'<rect width="100%" height="100%" class="paper"/>\n' + "\n".join(canvas.shapes) + "\n</svg>\n")


def main():
    require_programs("martlet-control", "martlet-bench")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sizes = [int(text) for text in sys.argv[1:]] or [1000, 5000]
    rounds = int(os.environ.get("MARTLET_ROUNDS", "20"))
    default = ROOT / "Documentation/Benchmarks" if len(sys.argv) == 1 else ROOT / ".build-release/benchmarks"
    documents = pathlib.Path(os.environ.get("MARTLET_RESULTS", default))
    busy = os.getloadavg()[0] > 0.5 * len(os.sched_getaffinity(0))
    runs = []
    for nodes in sizes:
        runs.append(measure(nodes, rounds))
        print(json.dumps(runs[-1]), flush=True)
        write(ROOT / ".build-release/benchmarks/control-raw.json", json.dumps(runs, indent=1) + "\n")
        told = published(machine(), busy, runs)
        write(documents / "control.json", json.dumps(told, indent=1) + "\n")
        write(documents / "control.md", markdown(told))
        write(documents / "control.svg", draw(told))


if __name__ == "__main__":
    main()
