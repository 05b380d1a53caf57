#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How our tunnel compares with Debian's wireguard-go, or the one that MARTLET_RIVAL names: both between the same
two hosts, measured in turns.

Prints medians and ratios; it fails on nothing but an error. Run it with `make bench` on a quiet machine.
Packages: iperf3, wireguard-go, wireguard-tools.
"""
import contextlib, json, os, pathlib, signal, statistics, sys, time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import BINARIES, Control, Host, Node, Skip, eventually, require_programs, require_root, require_tool, run, scratch

ROUNDS = int(os.environ.get("MARTLET_ROUNDS", "5"))
SECONDS = int(os.environ.get("MARTLET_SECONDS", "4"))
RIVAL = os.environ.get("MARTLET_RIVAL", "wireguard-go")
PREFIX = "mtbench"
ADDRESSES = {"server": "10.96.0.1", "a": "10.96.0.2", "b": "10.96.0.3"}


@contextlib.contextmanager
def hosts():
    """Three hosts on one switch."""
    switch = f"{PREFIX}-switch"
    made = {name: Host(f"{PREFIX}-{name}") for name in ADDRESSES}
    names = [switch, *[host.namespace for host in made.values()]]
    for name in names:
        run("ip", "netns", "delete", name, check=False)
        run("ip", "netns", "add", name)
    try:
        run("ip", "-n", switch, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", switch, "link", "set", "br0", "up")
        for name, address in ADDRESSES.items():
            inside = made[name].namespace
            run("ip", "-n", inside, "link", "set", "lo", "up")
            run("ip", "-n", inside, "link", "add", "wire", "type", "veth", "peer", "name", name, "netns", switch)
            run("ip", "-n", switch, "link", "set", "dev", name, "master", "br0", "up")
            run("ip", "-n", inside, "address", "add", f"{address}/24", "dev", "wire")
            run("ip", "-n", inside, "link", "set", "wire", "up")
        yield made
    finally:
        for host in made.values():
            host.close()
            for pid in processes(host, pathlib.Path(RIVAL).name):
                os.kill(pid, signal.SIGKILL)
        for name in names:
            run("ip", "netns", "delete", name, check=False)


def processes(host, name):
    pids = run("ip", "netns", "pids", host.namespace).stdout.split()
    return [int(pid) for pid in pids if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == name]


def cpu_seconds(pids):
    ticks = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_megabytes(pids, field="VmRSS"):
    """Memory of a process: `VmRSS` is all that is mapped in, `RssAnon` what the kernel cannot take back."""
    total = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                total += int(line.split()[1])
    return total / 1024 / max(1, len(pids))


def plain(host, name, listen):
    """A wireguard-go interface; returns its public key."""
    key = run("wg", "genkey").stdout.strip()
    path = pathlib.Path(f"/run/{name}.key")
    path.touch(mode=0o600)
    path.write_text(key)
    host.run(RIVAL, name)
    host.run("wg", "set", name, "private-key", path, "listen-port", listen)
    path.unlink()
    return run("wg", "pubkey", input=key, stdin=None).stdout.strip()


def wireguard_go(made):
    """A tunnel of wireguard-go between a and b: 10.95.0.1 and 10.95.0.2."""
    ends = {"a": ("mtbencha", "10.95.0.1"), "b": ("mtbenchb", "10.95.0.2")}
    keys = {name: plain(made[name], link, 51820) for name, (link, _) in ends.items()}
    for name, other in (("a", "b"), ("b", "a")):
        link, address = ends[name]
        made[name].run("wg", "set", link, "peer", keys[other], "endpoint", f"{ADDRESSES[other]}:51820",
                       "allowed-ips", f"{ends[other][1]}/32")
        made[name].run("ip", "address", "add", f"{address}/24", "dev", link)
        made[name].run("ip", "link", "set", link, "mtu", "1280", "up")
    eventually("wireguard-go answers", lambda: made["a"].run("ping", "-c", "1", "-W", "1", "10.95.0.2", check=False).returncode == 0)
    return "10.95.0.2"


def throughput(made, address, *options):
    """Gigabits a second of one flow from a to b, as the receiver counts."""
    server = made["b"].spawn("iperf3", "-s", "-1", "-B", address, stdout=-3, stderr=-3)
    eventually("iperf3 listens", lambda: ":5201 " in made["b"].run("ss", "-ltn").stdout)
    told = json.loads(made["a"].run("iperf3", "-c", address, "-t", SECONDS, "-J", *options, timeout=SECONDS + 60).stdout)
    server.wait(timeout=30)
    return told["end"]["sum_received"]["bits_per_second"] / 1e9


def latencies(made, address):
    """Round trips in microseconds."""
    text = made["a"].run("ping", "-n", "-i", "0.002", "-c", "1000", "-W", "2", address, timeout=60).stdout
    found = sorted(float(line.split("time=")[1].split()[0]) * 1000 for line in text.splitlines() if "time=" in line)
    return found[len(found) // 2], found[len(found) * 99 // 100]


def joining(made, control, directory):
    """How long it takes a fresh node on a until it runs, until b answers it, and until the path is direct."""
    node = Node(made["a"], directory / "a").start()
    key = control.key()
    begun = time.monotonic()
    node.up(control, key, "--hostname", "a")
    running = time.monotonic() - begun
    other = next(peer for peer in node.status()["Peer"].values())["TailscaleIPs"][0]
    while not node.reaches(other):
        pass
    replied = time.monotonic() - begun
    while not node.is_direct(other):
        node.reaches(other)
    direct = time.monotonic() - begun
    return node, other, (running, replied, direct)


def show(what, ours, theirs, unit, better):
    ratio = ours / theirs if better == "more" else theirs / ours
    print(f"{what:34} martletd {ours:10.2f}   wireguard-go {theirs:10.2f} {unit:6} ours is {ratio:5.2f} times as good", flush=True)


def memory(when, daemons, rivals):
    for what, field in (("resident", "VmRSS"), ("of it its own", "RssAnon")):
        show(f"{what}, {when}", resident_megabytes(daemons, field), resident_megabytes(rivals, field), "MB", "less")


def bench():
    require_programs("martletd", "martlet", "martlet-control")
    require_root()
    require_tool("iperf3", RIVAL, "wg")
    with scratch("martlet-bench-") as directory, hosts() as made:
        control = Control(made["server"], directory / "control", ADDRESSES["server"]).start()
        second = Node(made["b"], directory / "b").start()
        second.up(control, None, "--hostname", "b")
        node, ours, times = joining(made, control, directory)
        print("from `martlet up` to Running {:.3f} s, to the first reply {:.3f} s, to a direct path {:.3f} s".format(*times))
        theirs = wireguard_go(made)
        daemons = [node.daemon.pid, second.daemon.pid]
        rivals = processes(made["a"], pathlib.Path(RIVAL).name) + processes(made["b"], pathlib.Path(RIVAL).name)
        memory("idle", daemons, rivals)
        for what, options in (("TCP, one flow", []), ("TCP, one flow, reversed", ["-R"])):
            rates, costs = ([], []), ([], [])
            for _ in range(ROUNDS):
                for index, (address, pids) in enumerate(((ours, daemons), (theirs, rivals))):
                    before = cpu_seconds(pids)
                    rate = throughput(made, address, *options)
                    rates[index].append(rate)
                    costs[index].append((cpu_seconds(pids) - before) / (rate * SECONDS / 8))
            show(what, statistics.median(rates[0]), statistics.median(rates[1]), "Gbit/s", "more")
            show(f"{what}: processor", statistics.median(costs[0]), statistics.median(costs[1]), "s/GB", "less")
        p50, p99 = ([], []), ([], [])
        for _ in range(ROUNDS):
            for index, address in enumerate((ours, theirs)):
                middle, tail = latencies(made, address)
                p50[index].append(middle)
                p99[index].append(tail)
        show("ping, median", statistics.median(p50[0]), statistics.median(p50[1]), "us", "less")
        show("ping, 99th of 100", statistics.median(p99[0]), statistics.median(p99[1]), "us", "less")
        memory("after load", daemons, rivals)
        for name in ("martletd", "martlet", "martlet-control", "martlet-derp"):
            if (BINARIES / name).exists():
                print(f"{name}: {(BINARIES / name).stat().st_size / 1e6:.1f} MB on disk")


if __name__ == "__main__":
    try:
        bench()
    except Skip as reason:
        print(f"skip: {reason}")
