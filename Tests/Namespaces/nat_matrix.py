#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which pairs of NATs two nodes find a direct path through, on the real kernel, held against the simulated table.

Without arguments some telling pairs, once each. `--full` tries every pair that nftables can make, several times, and
`--write` puts the times into Documentation/Simulation/README.md.
"""
import contextlib, http.client, json, pathlib, re, socket, statistics, subprocess, sys, time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import ROOT, Control, Host, Node, eventually, main, require_programs, require_root, require_tool, run, scratch, test

PREFIX = "mtnm"
PAGE = ROOT / "Documentation/Simulation/README.md"
KINDS = ["none", "open", "restricted", "easy", "hard", "no UDP"]
TELLING = [("open", "hard"), ("restricted", "hard"), ("easy", "easy"), ("easy", "hard"), ("hard", "hard")]
FULL = "--full" in sys.argv
TRIALS = 5 if FULL else 1
# A pair that theory gives no direct path is watched for so long.
PATIENCE = 6
MARK = "## The same on a real kernel"


class Site:
    """A router with a host behind it: 10.98.N.2, which the internet knows only where there is no NAT."""

    def __init__(self, number):
        self.number = number
        self.router, self.host = Host(f"{PREFIX}-r{number}"), Host(f"{PREFIX}-h{number}")
        self.inside = f"10.98.{number}.2"

    def connect(self):
        number = self.number
        for host in (self.router, self.host):
            run("ip", "netns", "add", host.namespace)
            host.run("ip", "link", "set", "lo", "up")
        wire("inet", f"r{number}", self.router, "wan", f"10.99.0.{10 + number}/24")
        run("ip", "-n", self.router.namespace, "link", "add", "lan", "type", "veth", "peer", "name", "eth", "netns",
            self.host.namespace)
        self.router.run("ip", "address", "add", f"10.98.{number}.1/24", "dev", "lan")
        self.host.run("ip", "address", "add", f"{self.inside}/24", "dev", "eth")
        self.router.run("ip", "link", "set", "lan", "up")
        self.host.run("ip", "link", "set", "eth", "up")
        self.host.run("ip", "route", "add", "default", "via", f"10.98.{number}.1")
        self.router.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")

    def become(self, kind):
        inside, rules = self.inside, []
        if kind in ("open", "restricted", "easy", "hard", "no UDP"):
            random = "fully-random" if kind == "hard" else ""
            rules.append(f"chain out {{ type nat hook postrouting priority srcnat; oifname wan masquerade {random}; }}")
            # What comes too early must leave no trace that would take the port.
            rules.append("chain own { type filter hook input priority filter; iifname wan ct state new drop; }")
            blocked = "meta l4proto udp drop;" if kind == "no UDP" else ""
            seen = "iifname lan meta l4proto udp add @seen { ip daddr };" if kind == "restricted" else ""
            opened = "ct status dnat accept;" if kind in ("open", "restricted") else ""
            rules.append("chain pass { type filter hook forward priority filter; policy drop; "
                         f"{blocked} {seen} ct state established,related accept; iifname lan accept; {opened} }}")
        if kind == "open":
            rules.append("chain in { type nat hook prerouting priority dstnat; "
                         f"iifname wan udp dport 41000-43000 dnat to {inside}; }}")
        if kind == "restricted":
            rules.insert(0, "set seen { type ipv4_addr; flags dynamic; }")
            rules.append("chain in { type nat hook prerouting priority dstnat; "
                         f"iifname wan udp dport 41000-43000 ip saddr @seen dnat to {inside}; }}")
        # Nothing of the internet leads to hosts behind a NAT.
        self.router.run("nft", "flush ruleset\ntable ip nat {\n" + "\n".join(rules) + "\n}")


def wire(switch, name, host, link, address):
    run("ip", "-n", f"{PREFIX}-{switch}", "link", "add", name, "type", "veth", "peer", "name", link, "netns", host.namespace)
    run("ip", "-n", f"{PREFIX}-{switch}", "link", "set", name, "master", "switch", "up")
    host.run("ip", "address", "add", address, "dev", link)
    host.run("ip", "link", "set", link, "up")


class World:
    def __init__(self, directory):
        self.directory = directory
        self.server = Host(f"{PREFIX}-server")
        self.sites = [Site(1), Site(2)]
        self.trial = 0
        self.nodes = []

    def build(self):
        run("ip", "netns", "add", f"{PREFIX}-inet")
        run("ip", "-n", f"{PREFIX}-inet", "link", "add", "switch", "type", "bridge")
        run("ip", "-n", f"{PREFIX}-inet", "link", "set", "switch", "up")
        run("ip", "netns", "add", self.server.namespace)
        self.server.run("ip", "link", "set", "lo", "up")
        wire("inet", "server", self.server, "wan", "10.99.0.1/24")
        for site in self.sites:
            site.connect()
        for site in self.sites:
            for host in [self.server, *(other.router for other in self.sites if other is not site)]:
                host.run("ip", "route", "add", f"10.98.{site.number}.0/24", "via", f"10.99.0.{10 + site.number}")
        self.control = Control(self.server, self.directory / "control", "10.99.0.1").start()

    def start(self):
        """Both nodes anew, on ports that no router has seen."""
        self.trial += 1
        first = not self.nodes
        for node in self.nodes:
            node.daemon.kill()
        self.nodes = [Node(site.host, self.directory / f"node{site.number}", port=41000 + self.trial).start()
                      for site in self.sites]
        if first:
            for node in self.nodes:
                node.up(self.control)
        for node in self.nodes:
            eventually("the node is running", lambda: node.status()["BackendState"] == "Running" and
                       node.status()["Self"]["Relay"])
        self.overlay = [node.ip() for node in self.nodes]
        # Each has heard of the other's new keys and endpoints.
        for node, other in zip(self.nodes, reversed(self.nodes)):
            eventually("the peer is online", lambda: (node.peer(other) or {}).get("Online"))
        time.sleep(0.5)

    def explain(self):
        for node in self.nodes:
            print(f"--- {node.host}\n{node.daemon.tail(8)}", flush=True)

    def close(self):
        for node in self.nodes:
            node.daemon.kill()
        for host in [self.server, *(site.host for site in self.sites), *(site.router for site in self.sites)]:
            host.close()
        remove()


def remove():
    for name in ("inet", "server", "r1", "r2", "h1", "h2"):
        run("ip", "netns", "delete", f"{PREFIX}-{name}", check=False)


@contextlib.contextmanager
def world():
    require_programs("martletd", "martlet", "martlet-control")
    require_root()
    require_tool("ip", "nft", "ping")
    remove()
    with scratch("martlet-nats-") as directory:
        made = World(directory)
        try:
            made.build()
            yield made
        finally:
            made.close()


class LocalSocket(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("local-tailscaled.sock")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)


def is_direct(node, address):
    connection = LocalSocket(node.socket)
    connection.request("GET", "/localapi/v0/status", headers={"Host": "local-tailscaled.sock"})
    status = json.loads(connection.getresponse().read())
    connection.close()
    return any(peer["CurAddr"] for peer in status["Peer"].values() if address in peer["TailscaleIPs"])


def time_to_direct(made, patience):
    """Seconds from the first packet until the path is direct; None when it does not become so."""
    one, address = made.nodes[0], made.overlay[1]
    begun = time.monotonic()
    pings = one.host.spawn("ping", "-n", "-q", "-i", "0.05", "-W", "1", address, stdout=subprocess.DEVNULL)
    try:
        while time.monotonic() - begun < patience:
            if is_direct(one, address):
                return time.monotonic() - begun
            time.sleep(0.01)
        return None
    finally:
        pings.kill()
        pings.wait()


def expected():
    """What the simulated table says of each pair: whether it is direct."""
    rows = [line for line in PAGE.read_text().split(MARK)[0].splitlines() if line.startswith("| **")]
    kinds = [re.match(r"\| \*\*(.*?)\*\*", row).group(1) for row in rows]
    table = {}
    for kind, row in zip(kinds, rows):
        for other, cell in zip(kinds, row.split("|")[2:-1]):
            table[kind, other] = cell.strip() != "relayed"
    return table


def try_pair(made, one, other, simulated):
    made.sites[0].become(one)
    made.sites[1].become(other)
    times = []
    for _ in range(TRIALS):
        made.start()
        found = time_to_direct(made, 20 if simulated[one, other] else PATIENCE)
        times.append(found)
        eventually("a ping, over whichever path", lambda: made.nodes[0].reaches(made.overlay[1]))
    shown = ", ".join("relayed" if one is None else f"{one * 1000:.0f} ms" for one in times)
    print(f"    {one} - {other}: {shown}", flush=True)
    assert all((found is not None) == simulated[one, other] for found in times), f"{one} - {other}: {shown}"
    return times


def cell(times):
    if None in times:
        return "relayed"
    return f"{statistics.median(times) * 1000:.0f} ms, {max(times) * 1000:.0f} ms"


def write(results):
    lines = [MARK, "", f"`Tests/Namespaces/nat_matrix.py --full --write` makes the same pairs of nftables, with {TRIALS} trials each: "
             "the time from the first packet until the status tells a direct path, median and slowest, on a machine that did "
             "other things as well; the links take no time, so the simulated times are another matter. `make test` tries the "
             "telling ones. Whether a pair is direct agrees with the simulation in every cell; `half hard` is a NAT that "
             "nftables cannot make.", "",
             "| | " + " | ".join(KINDS) + " |", "|---" * (len(KINDS) + 1) + "|"]
    for one in KINDS:
        cells = [cell(results.get((one, other)) or results[other, one]) for other in KINDS]
        lines.append(f"| **{one}** | " + " | ".join(cells) + " |")
    text = PAGE.read_text().split(MARK)[0].rstrip() + "\n\n" + "\n".join(lines) + "\n"
    PAGE.write_text(text)


@test("pairs of real NATs are direct or relayed exactly as the simulation says")
def matrix(made):
    simulated = expected()
    pairs = [(one, other) for place, one in enumerate(KINDS) for other in KINDS[place:]] if FULL else TELLING
    results = {pair: try_pair(made, *pair, simulated) for pair in pairs}
    if "--write" in sys.argv:
        write(results)


if __name__ == "__main__":
    main(world)
