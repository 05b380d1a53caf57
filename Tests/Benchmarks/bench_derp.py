#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How our relay compares with another, in the same run and in turns.

usage: bench_derp.py [FIGURE...]      all of them without; `bench_derp.py --list` names them

    MARTLET_RIVAL_RELAY=COMMAND  how another relay is started; {port}, {cert} and {key} in it are replaced.
                                 Without one, ours is measured alone.
    MARTLET_ROUNDS=5             how many rounds; each measures every relay once
    MARTLET_SECONDS=2            how long one load lasts
    MARTLET_RESULTS=DIRECTORY    where results go (Documentation/Benchmarks, if all figures are measured)

Run it with `make bench-derp` on a quiet machine. The load's generator, `martlet-bench derp`, shares the cores with the
relay: the figures by processor time are the ones that hold. Packages: openssl.
"""
import contextlib, json, os, pathlib, resource, shlex, statistics, subprocess, sys, time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import BINARIES, ROOT, require_programs, require_root, require_tool, run, scratch
from results import machine
import derp_plot
import relayed

OURS = "Martlet"
PORT = 18443
LIMIT = 100_000
ROUNDS = int(os.environ.get("MARTLET_ROUNDS", "5"))
SECONDS = float(os.environ.get("MARTLET_SECONDS", "2"))
IDLE = [int(count) for count in os.environ.get("MARTLET_IDLE_CLIENTS", "1000,10000,20000").split(",")]


class Relay:
    """A relay that runs, and what the kernel says of it."""

    def __init__(self, name, command, directory):
        self.name, self.log = name, open(directory / f"{name}.log", "wb")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        for _ in range(200):
            if self.process.poll() is not None:
                raise SystemExit(f"{name} does not start: {(directory / f'{name}.log').read_text()[-500:]}")
            done = run(BINARIES / "martlet-bench", "derp", "connect", "--relay", self.address, "--clients", 1, check=False)
            if done.returncode == 0 and '"failed":0' in done.stdout:
                return
            time.sleep(0.05)
        raise SystemExit(f"{name} does not answer")

    address = f"127.0.0.1:{PORT}"

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("it has ended")

    def load(self, *options, seconds=SECONDS):
        """Carries a load; what the generator tells, and packets a second of the relay's processor time."""
        before = self.cpu()
        told = json.loads(run(BINARIES / "martlet-bench", "derp", "load", "--relay", self.address, "--duration",
                              f"{seconds * 1000:.0f}ms", "--warmup", "200ms", *options).stdout)
        used = self.cpu() - before
        # The warm-up and the handshakes count as well: with few clients they are little.
        told["packetsPerCPUSecond"] = told["received"] * (seconds + 0.2) / seconds / max(used, 0.01)
        return told

    @contextlib.contextmanager
    def clients(self, count, at_once=64):
        """Clients that stay; yields how many seconds they took."""
        process = subprocess.Popen([BINARIES / "martlet-bench", "derp", "connect", "--relay", self.address, "--clients",
                                    str(count), "--at-once", str(at_once), "--hold"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        try:
            facts = json.loads(process.stdout.readline())
            yield facts
        finally:
            process.stdin.close()
            facts.update(json.loads(process.stdout.readline()))
            process.wait()

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


class Bench:
    def __init__(self, directory):
        self.directory = directory
        self.certificate, self.key = directory / "cert.pem", directory / "key.pem"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            "/CN=localhost", "-keyout", self.key, "-out", self.certificate)
        self.rival = os.environ.get("MARTLET_RIVAL_RELAY", "")
        self.names = [OURS] + ([pathlib.Path(shlex.split(self.rival)[0]).name] if self.rival else [])
        self.lines, self.raw = [], {}

    def command(self, name):
        if name != OURS:
            return shlex.split(self.rival.format(port=PORT, cert=self.certificate, key=self.key))
        return [BINARIES / "martlet-derp", "--listen", Relay.address, "--cert", self.certificate, "--key", self.key,
                "--stun-port", "-1", "--state", self.directory / "state", "--connection-limit", "100000"]

    @contextlib.contextmanager
    def relay(self, name, cores=None):
        command = [str(part) for part in self.command(name)]
        relay = Relay(name, (["taskset", "-c", cores] if cores else []) + command, self.directory)
        try:
            yield relay
        finally:
            relay.stop()

    def in_turns(self, measure, rounds=ROUNDS):
        """What `measure` tells of each relay, round by round."""
        values = {name: [] for name in self.names}
        for _ in range(rounds):
            for name in self.names:
                with self.relay(name) as relay:
                    values[name].append(measure(relay))
        return values

    def add(self, figure, unit, values, goal="", better="more"):
        """Keeps a figure: a list of values for each relay, the same round at the same place."""
        middle = {name: statistics.median(each) for name, each in values.items()}
        line = {"figure": figure, "unit": unit, "better": better, "goal": goal, "median": middle}
        if len(values) > 1 and all(min(each) > 0 for each in values.values()):
            ours, other = values[self.names[0]], values[self.names[1]]
            ratios = sorted(a / b if better == "more" else b / a for a, b in zip(ours, other))
            line["timesAsGood"] = [statistics.median(ratios), ratios[0], ratios[-1]]
        self.lines.append(line)
        shown = ", ".join(f"{name} {value:.4g}" for name, value in middle.items())
        print(f"{figure:46} {unit:22} {shown}   {line.get('timesAsGood', [''])[0]:.3}" if "timesAsGood" in line
              else f"{figure:46} {unit:22} {shown}", flush=True)


def throughput(bench):
    """Twenty clients, as fast as it goes."""
    for size in (1400, 64):
        values = bench.in_turns(lambda relay: relay.load("--size", size))
        for key, unit in (("packetsPerSecond", "packets/s"), ("packetsPerCPUSecond", "packets/s a core")):
            bench.add(f"{size} bytes, 20 clients", unit, {n: [v[key] for v in each] for n, each in values.items()}, "2x")
        if size == 1400:
            bench.add("1400 bytes, 20 clients", "Gbit/s a core",
                      {n: [v["packetsPerCPUSecond"] * size * 8 / 1e9 for v in each] for n, each in values.items()}, "1")


def latency(bench):
    """What the relay adds, at shares of what the slower of them can do in the same round."""
    shares, values = (10, 50, 90), {}
    for _ in range(ROUNDS):
        most = []
        for name in bench.names:
            with bench.relay(name) as relay:
                most.append(relay.load()["packetsPerSecond"])
        for share in shares:
            for name in bench.names:
                with bench.relay(name) as relay:
                    told = relay.load("--rate", int(min(most) * share / 100))
                values.setdefault(share, {}).setdefault(name, []).append(told)
    for share in shares:
        for key in ("p50", "p99"):
            bench.add(f"{key} at {share} % of what the slower can do", "microseconds",
                      {n: [v[f"{key}Microseconds"] for v in each] for n, each in values[share].items()}, better="less")


def victims(bench):
    """What others suffer from those who do not read, and from those who flood."""
    for word, options in (("two slow readers", ["--slow", "2"]), ("a flood", ["--flood", "1"])):
        values = {name: [] for name in bench.names}
        for _ in range(ROUNDS):
            for name in bench.names:
                with bench.relay(name) as relay:
                    rate = ["--rate", 10_000]
                    alone = relay.load(*rate)["p99Microseconds"]
                    values[name].append(relay.load(*rate, *options)["p99Microseconds"] / alone)
        bench.add(f"p99 of others beside {word}", "times that without", values, "1.1", better="less")


def idle(bench):
    """Resident memory of clients that are silent."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 500
    for count in (min(count, most) for count in IDLE):
        def measure(relay):
            before = relay.resident()
            with relay.clients(count):
                time.sleep(1)
                return (relay.resident() - before) / count / 1024
        values = bench.in_turns(measure, rounds=1 if count > 1000 else 2)
        bench.add(f"{count} idle clients", "KB a client", values, "10", better="less")


def storm(bench):
    """Five thousand who connect at the same time."""
    values, failed = {name: [] for name in bench.names}, {name: [] for name in bench.names}
    for _ in range(min(ROUNDS, 3)):
        for name in bench.names:
            with bench.relay(name) as relay:
                with relay.clients(5000, at_once=5000) as facts:
                    values[name].append(facts["connectedAfterSeconds"])
                failed[name].append(facts["failed"] + facts["gone"])
    bench.add("5000 clients at once", "seconds", values, better="less")
    bench.add("5000 clients at once", "failed", failed, "0", better="less")


def cores(bench):
    """What the second core brings, by processor time: how little dearer a packet is with two."""
    if len(os.sched_getaffinity(0)) < 2:
        return print("cores: this machine has one")
    values = {name: [] for name in bench.names}
    for _ in range(ROUNDS):
        for name in bench.names:
            found = []
            for which in ("0", "0,1"):
                with bench.relay(name, cores=which) as relay:
                    found.append(relay.load("--clients", 40)["packetsPerCPUSecond"])
            values[name].append(2 * found[1] / found[0])
    bench.add("one core to two, 1400 bytes", "times by processor time", values, "1.7")


def tunnel(bench):
    """TCP between two of our nodes whose networks let no UDP through: over our relay, in the coordination server."""
    require_programs("martletd", "martlet", "martlet-control")
    require_tool("iperf3", "nft")
    require_root()
    with relayed.tunnel(bench.directory / "tunnel") as (nodes, control):
        pings = [relayed.latency(nodes) for _ in range(min(ROUNDS, 3))]
        found = [relayed.throughput(nodes, control, max(SECONDS, 2)) for _ in range(ROUNDS)]
    bench.add("a tunnel over the relay, TCP", "Mbit/s", {OURS: [speed for speed, _ in found]}, "600")
    bench.add("a tunnel over the relay, TCP", "CPU seconds a GB", {OURS: [sum(used) for _, used in found]}, better="less")
    bench.add("a tunnel over the relay, ping", "milliseconds", {OURS: pings}, better="less")


FIGURES = [throughput, cores, latency, victims, idle, storm, tunnel]


def main():
    wanted = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    names = [figure.__name__ for figure in FIGURES]
    if "--list" in sys.argv:
        return print("\n".join(names))
    if unknown := set(wanted) - set(names):
        raise SystemExit(f"no such figure: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    require_programs("martlet-derp", "martlet-bench")
    require_tool("openssl", "taskset")
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    with scratch("martlet-bench-derp-") as directory:
        bench = Bench(pathlib.Path(directory))
        for figure in FIGURES:
            if not wanted or figure.__name__ in wanted:
                figure(bench)
    documents = pathlib.Path(os.environ.get("MARTLET_RESULTS") or ROOT / (".build-release/bench" if wanted else "Documentation/Benchmarks"))
    documents.mkdir(parents=True, exist_ok=True)
    busy = os.getloadavg()[2] > 2 * len(os.sched_getaffinity(0))
    published = {"machine": machine(), "isMachineBusy": busy, "rounds": ROUNDS, "secondsARun": SECONDS,
                 "relays": bench.names, "lines": bench.lines}
    (documents / "relay.json").write_text(json.dumps(published, indent=1) + "\n")
    (documents / "relay.md").write_text(markdown(published))
    (documents / "relay.svg").write_text(derp_plot.draw(published))
    print(f"results: {documents}/relay.md")


def markdown(published):
    """The figures as a table."""
    about = published["machine"]
    busy = ", which was busy with other work" if published["isMachineBusy"] else ""
    rows = [f"| {line['figure']} | {line['unit']} | " + " | ".join(f"{line['median'][name]:.4g}" if name in line["median"] else "" for name in published["relays"])
            + (" | {:.2f} ({:.2f} to {:.2f})".format(*line["timesAsGood"]) if "timesAsGood" in line else " | ")
            + f" | {line['goal']} |" for line in published["lines"]]
    head = ["Figure", "Unit", *published["relays"], "Times as good", "Goal"]
    return "\n".join([
        "# The relay, measured", "",
        f"Written by `make bench-derp`. Medians of {published['rounds']} rounds in which the relays took turns, on "
        f"{about['cores']} cores ({about['processor']}, {about['kernel']}){busy}. The generator of the load shared the cores with "
        "the relay. Absolute values hold for this machine and that hour; ratios are within a round.", "",
        "![Ratios](relay.svg)", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head), *rows, ""])


if __name__ == "__main__":
    main()
