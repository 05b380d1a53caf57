#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nodes that cannot reach each other directly meet at a third one that carries their packets."""
import contextlib, pathlib, subprocess, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import PATIENCE, Node, eventually, main, test
from laboratory import laboratory
from transfer import Transfer

PORT = 40123
POLICY = """{
  "tagOwners": {"tag:relay": [], "tag:user": []},
  "grants": [
    {"src": ["*"], "dst": ["*"], "ip": ["*"]},
    {"src": ["tag:user"], "dst": ["tag:relay"], "app": {"tailscale.com/cap/relay": [{}]}},
  ],
}
"""


def put_policy(lab, text):
    path = lab.directory / "policy.hujson"
    path.write_text(text)
    lab.control.call("policy", "set", path)


@contextlib.contextmanager
def world():
    with laboratory("mtpr") as lab:
        put_policy(lab, POLICY)
        lab.nat("hard", "home1", "home2")
        for host, tag in (("server", "tag:relay"), ("home1", "tag:user"), ("home2", "tag:user")):
            lab.control.user()
            key = lab.control.json("preauthkeys", "create", "--user", "alice", "--tags", tag)["key"]
            lab.nodes[host] = Node(lab.hosts[host], lab.directory / host, port=41641).start()
            lab.nodes[host].up(lab.control, key)
        yield lab


def sent(node):
    """Bytes sent by kind of path."""
    totals = {"direct": 0, "derp": 0, "peer_relay": 0}
    for name, value in node.metrics().items():
        if "outbound_bytes_total" in name:
            for kind in totals:
                totals[kind] += value if f'"{kind}' in name else 0
    return totals


def relay_of(node, other):
    return (node.peer(other) or {}).get("PeerRelay", "")


def meets(one, other):
    address = one.relay_address

    def probe():
        one.reaches(other)
        return relay_of(one, other).startswith(address)

    return eventually("packets take the peer relay", probe, patience=2 * PATIENCE)


def pair(lab):
    one, other, relay = lab.nodes["home1"], lab.nodes["home2"], lab.nodes["server"]
    for node in (one, other):
        node.relay_address = f"{lab.hosts['server'].addresses()[0]}:{PORT}:vni:"
    return one, other, relay


def serving(lab):
    """Both nodes and the relay, which serves them."""
    one, other, relay = pair(lab)
    if not relay.daemon.is_running():
        relay.start()
    eventually("a ping", lambda: one.reaches(other))
    relay.call("set", f"--relay-server-port={PORT}")
    meets(one, other)
    return one, other, relay


def forwarded(relay):
    return relay.metrics()['tailscaled_peer_relay_forwarded_bytes_total{transport_in="udp4",transport_out="udp4"}']


@test("two nodes behind symmetric NATs move from DERP to a peer relay, and what they send goes through it")
def moves(lab):
    one, other, relay = pair(lab)
    eventually("a ping over DERP", lambda: one.reaches(other))
    assert not relay_of(one, other)
    assert "not configured" in relay.call("debug", "peer-relay-sessions").stdout
    relay.call("set", f"--relay-server-port={PORT}")
    meets(one, other)
    meets(other, one)
    peer = one.peer(other)
    assert not peer["CurAddr"], peer
    shown = one.call("status").stdout
    assert f"peer-relay {peer['PeerRelay']}" in shown, shown
    pinged = one.call("ping", "--until-direct=false", "--c", "3", other.ip()).stdout
    assert f"via peer-relay({peer['PeerRelay']})" in pinged, pinged
    before, carried = sent(one), forwarded(relay)
    transfer = Transfer(one, other, 20)
    transfer.finish()
    after = sent(one)
    assert after["peer_relay"] - before["peer_relay"] > 20e6, (before, after)
    assert after["derp"] - before["derp"] < 1e5 and after["direct"] == before["direct"], (before, after)
    assert forwarded(relay) - carried > 20e6
    listed = relay.call("debug", "peer-relay-sessions").stdout
    assert f"Server port: {PORT}" in listed and "-->" in listed and "Sessions count: 1" in listed, listed


@test("a transfer survives the relay's end over DERP, and goes through it again when it is back")
def goes_away(lab):
    one, other, relay = serving(lab)
    before = sent(one)
    transfer = Transfer(one, other, 30)
    transfer.reach_half()
    relay.daemon.kill()
    transfer.finish()
    after = sent(one)
    assert after["derp"] - before["derp"] > 5e6, (before, after)
    eventually("the status tells that it is gone", lambda: one.reaches(other) and not relay_of(one, other))
    relay.start()
    meets(one, other)


@test("the policy decides who may ask: without its grant nobody gets anything, with it again they do")
def granted(lab):
    one, other, relay = serving(lab)
    put_policy(lab, POLICY.replace("tailscale.com/cap/relay", "example.com/cap/other"))
    # What was given out before holds on.
    relay.daemon.kill()
    relay.start()
    eventually("packets go over DERP", lambda: one.reaches(other) and not relay_of(one, other), patience=2 * PATIENCE)
    for _ in range(5):
        eventually("a ping over DERP", lambda: one.reaches(other))
        assert not relay_of(one, other) and not relay_of(other, one)
    put_policy(lab, POLICY)
    meets(one, other)


@test("strangers get no answer from the relay, and reach nobody through it")
def strangers(lab):
    one, other, relay = serving(lab)
    number = int(relay_of(one, other).rpartition(":")[2])
    header = bytes([0, 0, 0x7A, 0x12]) + number.to_bytes(3, "big") + b"\0"
    disco = b"TS\xf0\x9f\x92\xac" + bytes(100)
    script = (
        "import socket,sys\n"
        "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(1)\n"
        "for line in sys.stdin: s.sendto(bytes.fromhex(line.strip()),(sys.argv[1],int(sys.argv[2])))\n"
        "try: print(len(s.recv(2000)))\n"
        "except TimeoutError: print('silence')\n")
    datagrams = [header + bytes([4, 0, 0, 0]) + bytes(28)] * 50
    datagrams += [bytes([0, 0x80, 0x7A, 0x11]) + header[4:] + disco] * 50 + [header, b"", b"x" * 1200, disco]
    carried = forwarded(relay)
    child = subprocess.run(
        lab.hosts["server"].command(sys.executable, "-c", script, lab.hosts["server"].addresses()[0], str(PORT)),
        input="\n".join(one.hex() for one in datagrams) + "\n", capture_output=True, text=True, timeout=60)
    assert child.stdout.strip() == "silence", child
    assert forwarded(relay) - carried < 5000
    assert one.reaches(other)


@test("when the paths between them open the two nodes leave the relay")
def leaves(lab):
    one, other, relay = serving(lab)
    lab.nat("easy", "home1", "home2")
    eventually("the path is direct", lambda: one.reaches(other) and one.is_direct(other), patience=3 * PATIENCE)
    assert not relay_of(one, other)
    lab.nat("hard", "home1", "home2")


@test("a relay that is switched off is used no more; a port that is taken is told")
def switched_off(lab):
    one, other, relay = serving(lab)
    relay.call("set", "--relay-server-port=")
    eventually("packets go over DERP", lambda: one.reaches(other) and not relay_of(one, other) and not one.is_direct(other),
               patience=2 * PATIENCE)
    relay.call("set", "--relay-server-port=41641")
    told = eventually("health tells", lambda: relay.status().get("Health"))
    assert any("41641" in text for text in told), told
    relay.call("set", f"--relay-server-port={PORT}")
    eventually("health is good again", lambda: not relay.status().get("Health"))
    assert relay.call("set", "--relay-server-port=x", check=False).returncode != 0
    assert relay.call("set", "--relay-server-static-endpoints=nonsense", check=False).returncode != 0
    relay.call("set", "--relay-server-static-endpoints=10.99.0.1:40123,[fd99::1]:40123")


if __name__ == "__main__":
    main(world)
