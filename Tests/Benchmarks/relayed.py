# SPDX-License-Identifier: Apache-2.0
"""A tunnel between two of our nodes whose networks let no UDP through, so that a relay carries it."""
import contextlib, json, os, pathlib, statistics, subprocess

import bed as beds
from harness import Control, Node, eventually, run

PORT = 5201


@contextlib.contextmanager
def tunnel(directory):
    """Two nodes that reach each other over the relay; yields them and the server."""
    with beds.hosts(False) as hosts:
        for name in ("a", "b"):
            hosts[name].run("nft", "add table inet noudp; add chain inet noudp out { type filter hook output priority 0; };"
                            "add rule inet noudp out oifname wire meta l4proto udp drop")
        control = Control(hosts["server"], directory / "control", beds.UNDERLAY["server"]).start()
        nodes = {name: Node(hosts[name], directory / name).start() for name in ("a", "b")}
        for name, node in nodes.items():
            node.up(control, None, "--hostname", name)
        eventually("the nodes talk over the relay", lambda: nodes["a"].reaches(nodes["b"]))
        try:
            yield nodes, control
        finally:
            for node in nodes.values():
                node.daemon.stop()
            control.daemon.stop()


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def throughput(nodes, control, seconds):
    """TCP from one to the other: Mbit/s, and seconds of processor time a GB of the nodes and the relay."""
    listener = nodes["b"].host.spawn("iperf3", "-s", "-1", "-p", PORT, stdout=subprocess.DEVNULL)
    eventually("iperf3 listens", lambda: f":{PORT} " in nodes["b"].host.run("ss", "-ltn").stdout)
    pids = [node.daemon.pid for node in nodes.values()] + [control.daemon.pid]
    before = [cpu(pid) for pid in pids]
    told = json.loads(nodes["a"].host.run("iperf3", "-c", nodes["b"].ip(), "-p", PORT, "-t", f"{seconds:g}", "-J").stdout)
    used = [now - then for now, then in zip(map(cpu, pids), before)]
    listener.wait()
    received = told["end"]["sum_received"]
    return received["bits_per_second"] / 1e6, [one / (received["bytes"] / 1e9) for one in used]


def latency(nodes):
    """The middle of forty pings, in milliseconds."""
    told = nodes["a"].host.run("ping", "-n", "-c", 40, "-i", "0.02", nodes["b"].ip()).stdout
    times = [float(line.split("time=")[1].split()[0]) for line in told.splitlines() if "time=" in line]
    return statistics.median(times)
