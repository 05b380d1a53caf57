#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fifty thousand messages a second of every kind that a stranger can send: what flows goes on, nothing grows, nobody is
answered with more than was sent."""
import contextlib, json, pathlib, re, subprocess, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import PATIENCE, eventually, main, require_tool, run, test
from laboratory import laboratory
from transfer import Transfer

RATE, COUNT = 50_000, 75_000
FLOOD = pathlib.Path(__file__).resolve().parents[1] / "Harness/flood.py"
PORT, RELAY_PORT = 41641, 40404
# What a node may take more for tables that are full to their bounds.
GROWTH_KILOBYTES = 12_000
CAPTURE = """
import socket, sys
taps = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
taps.bind((sys.argv[1], 0))
kinds = {}
while not {"disco", 4} <= set(kinds):
    packet = taps.recv(65535)
    if packet[0] >> 4 != 4:
        continue
    header = (packet[0] & 15) * 4
    payload = packet[header + 8:]
    if packet[9] != 17 or socket.inet_ntoa(packet[12:16]) != sys.argv[2] or packet[6] & 0x20 or len(payload) < 32:
        continue
    kind = "disco" if payload[:6] == b"TS\\xf0\\x9f\\x92\\xac" else payload[0]
    if kind not in ("disco", 1, 4) or kind in kinds:
        continue
    kinds[kind] = payload.hex()
print(*kinds.values(), flush=True)
"""


class World:
    def __init__(self, lab):
        self.lab = lab
        self.attacker = lab.nats["natlan"]
        self.victim, self.friend = lab.node("lan1"), lab.node("lan2")
        eventually("the neighbours talk directly", lambda: self.victim.reaches(self.friend) and self.is_direct())
        self.victim.call("set", "--relay-server-port", RELAY_PORT)
        self.address = lab.hosts["lan1"].addresses()[0]
        state = eventually("the map with the friend is kept", self.map)
        self.facts = {
            "node_key": self.victim.status()["Self"]["PublicKey"].split(":")[1],
            "disco_key": next(peer["DiscoKey"] for peer in state["Peers"]).split(":")[1],
            "captured": self.capture(),
        }
        # What the victim says to the senders that nobody has.
        self.attacker.run("nft", "add table ip told; add chain ip told way { type filter hook prerouting priority -400; }; "
                          f"add rule ip told way ip saddr {self.address} ip daddr 203.0.113.0/24 counter; "
                          "add chain ip told out { type filter hook output priority -400; }; "
                          "add rule ip told out ip saddr 203.0.113.0/24 notrack; add rule ip told way ip daddr 203.0.113.0/24 drop")

    def map(self):
        path = self.victim.directory / "state/netmap.json"
        found = json.loads(path.read_text()) if path.exists() else {}
        return found if found.get("Peers") else None

    def is_direct(self):
        return self.victim.is_direct(self.friend) and self.friend.is_direct(self.victim)

    def capture(self):
        """A ping, a packet and perhaps a handshake of the friend's, as they were on the wire."""
        child = self.attacker.spawn(sys.executable, "-c", CAPTURE, "to-lan2", self.lab.hosts["lan2"].addresses()[0],
                                    stdout=subprocess.PIPE, text=True)
        # A daemon that starts shakes hands.
        self.friend.daemon.stop()
        self.friend.start()
        eventually("they talk again", lambda: self.friend.reaches(self.victim) and self.is_direct())
        eventually("enough was seen", lambda: self.friend.reaches(self.victim) and child.poll() is not None)
        return child.stdout.read().split()

    def told(self):
        """How many bytes the victim sent to senders that nobody has."""
        text = self.attacker.run("nft", "list", "table", "ip", "told").stdout
        return int(re.search(r"counter packets \d+ bytes (\d+)", text)[1])

    def dropped(self):
        """Everything that the victim counts as refused."""
        text = run("curl", "-s", "--fail", "--unix-socket", self.victim.socket,
                   "http://local-tailscaled.sock/localapi/v0/metrics").stdout + \
               run("curl", "-s", "--fail", "--unix-socket", self.victim.socket,
                   "http://local-tailscaled.sock/localapi/v0/usermetrics").stdout
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if not line.startswith("#")
                   and re.search("drop|stray|unknown|authentic|malformed|stale|duplicate|unsupported|stranger|unbound|unproven", line))

    def flood(self, kind, port=PORT, to=None, **order):
        """Sends a flood while a transfer runs both ways; returns what was sent."""
        order = {"kind": kind, "to": [to or self.address, port], "count": COUNT, "rate": RATE, "facts": self.facts, **order}
        flood = subprocess.Popen(self.attacker.command(sys.executable, FLOOD), stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True)
        self.attacker.children.append(flood)
        flood.stdin.write(json.dumps(order) + "\n")
        flood.stdin.flush()
        transfers = [Transfer(self.victim, self.friend, 1), Transfer(self.friend, self.victim, 1)]
        for transfer in transfers:
            transfer.finish()
        done = json.loads(flood.communicate(timeout=PATIENCE)[0])
        print(f"  {kind}: {done['sent']} messages, {done['rate']} a second", flush=True)
        return done

    def survives(self, kind, isCounted=True, **order):
        path = self.victim.peer(self.friend)["CurAddr"]
        memory, told, dropped = self.victim.daemon.resident_kilobytes(), self.told(), self.dropped()
        done = self.flood(kind, **order)
        assert self.victim.daemon.is_running()
        assert self.told() - told <= done["bytes"], f"{self.told() - told} bytes for {done['bytes']}"
        if isCounted:
            assert self.dropped() - dropped >= COUNT / 10, f"counted: {self.dropped() - dropped} of {COUNT}"
        grown = self.victim.daemon.resident_kilobytes() - memory
        assert grown < GROWTH_KILOBYTES, f"it has grown by {grown} KB"
        eventually("the path is what it was", lambda: self.friend.reaches(self.victim) and self.victim.reaches(self.friend)
                   and self.is_direct() and self.victim.peer(self.friend)["CurAddr"] == path)

    def explain(self):
        self.lab.explain()


@contextlib.contextmanager
def world():
    require_tool("nft", "ss")
    with laboratory("mtfl") as lab:
        yield World(lab)


@test("discovery by strangers, forged in a peer's name, and replayed from elsewhere")
def discovery(world):
    world.survives("disco-strange")
    # As if it came from where the friend is.
    world.survives("disco-forged", **{"from": [world.lab.hosts["lan2"].addresses()[0], PORT]})
    world.survives("disco-forged")


@test("everything that a peer has said, said again by others: whatever is answered gets less than was sent, and no path moves")
def replayed(world):
    before = world.told()
    world.survives("replayed", isCounted=False)
    assert world.told() > before, "no replayed ping was answered: what is counted says nothing"


@test("STUN that was not asked for")
def stun(world):
    world.survives("stun")


@test("handshakes whose first MAC is right, and data of no session")
def wireguard(world):
    world.survives("wireguard-initiations", isCounted=False)
    world.survives("wireguard-data")


@test("messages of a peer relay, to a node and to the relay that it is")
def peer_relay(world):
    world.survives("geneve")
    world.survives("geneve", port=RELAY_PORT)


@test("answers and announced restarts of a router that was not asked")
def port_mapping(world):
    found = world.victim.host.run("ss", "-H", "-4", "-uanp").stdout
    ports = {int(port) for port in re.findall(r"\d:(\d+) .*martletd", found)} - {PORT, RELAY_PORT}
    assert ports, found
    for port in sorted(ports):
        world.survives("router", port=port, isCounted=False, **{"from": ["192.168.77.1", 5351]})


@test("messages that are cut off or damaged in all of these languages, to a node and to the STUN server")
def malformed(world):
    world.survives("malformed")
    for kind in ("malformed", "stun"):
        world.flood(kind, to=world.lab.hosts["server"].addresses()[0], port=3478)
    report = json.loads(world.victim.call("netcheck", "--format", "json").stdout)
    assert world.lab.control.daemon.is_running() and report["UDP"], report


if __name__ == "__main__":
    main(world)
