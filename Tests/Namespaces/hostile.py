#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Networks that are bad to UDP: routers that forget, NATs that do not turn packets round, loss, and half a world between."""
import contextlib, pathlib, subprocess, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import PATIENCE, eventually, main, require_tool, test
from laboratory import laboratory
from transfer import Transfer

DELAY = pathlib.Path(__file__).resolve().parents[1] / "Harness/delay.py"


@contextlib.contextmanager
def world():
    require_tool("conntrack", "nft")
    with laboratory("mthu") as lab:
        yield lab


def homes(lab, fresh=False):
    lab.nat("easy", "home1", "home2")
    one, other = lab.node("home1", fresh=fresh), lab.node("home2", fresh=fresh)
    eventually("the path is direct", lambda: direct(one, other), patience=2 * PATIENCE)
    return one, other


def direct(one, other):
    return one.reaches(other) and one.is_direct(other) and other.is_direct(one)


def sent(node, kind):
    return sum(value for name, value in node.metrics().items() if "outbound_bytes_total" in name and kind in name)


def forget(lab, *hosts):
    """The routers of these hosts lose what they know of UDP."""
    for host in hosts:
        lab.nats[lab.NATS[host]].run("conntrack", "-D", "-p", "udp", check=False)


@test("two nodes behind one NAT that does not turn packets round, apart from each other, talk over the relay")
def hairpin(lab):
    lab.nat("easy", "lan1")
    router = lab.nats["natlan"]
    # Two guests: neither hears the other but by way of the router, which sends nothing back where it came from.
    router.run("bridge", "link", "set", "dev", "to-lan1", "isolated", "on")
    router.run("bridge", "link", "set", "dev", "to-lan2", "isolated", "on")
    router.run("nft", "insert rule ip lab forward iifname lan oifname lan drop")
    try:
        one, other = lab.node("lan1"), lab.node("lan2")
        eventually("they talk", lambda: one.reaches(other) and other.reaches(one))
        assert not one.is_direct(other) and not other.is_direct(one)
        Transfer(one, other, 3).finish()
        assert sent(one, "derp") > 3e6
    finally:
        for link in ("to-lan1", "to-lan2"):
            router.run("bridge", "link", "set", "dev", link, "isolated", "off")
        lab.nat("easy", "lan1")
    eventually("with a way to each other they find it", lambda: direct(one, other), patience=2 * PATIENCE)
    for name in ("lan1", "lan2"):
        lab.remove(name)


@test("routers that are switched off and on, one and then both at once, cost seconds in a transfer")
def rebooted(lab):
    one, other = homes(lab)
    transfer = Transfer(one, other, 20)
    transfer.reach_half()
    forget(lab, "home1")
    eventually("the path is direct again", lambda: direct(one, other))
    forget(lab, "home1", "home2")
    transfer.finish()
    eventually("the path is direct again", lambda: direct(one, other))


@test("NATs that forget a flow within seconds of silence are kept awake while somebody talks, and opened anew after that")
def forgetful(lab):
    one, other = homes(lab)
    routers = [lab.nats[lab.NATS[name]] for name in ("home1", "home2")]
    for router in routers:
        router.run("sysctl", "-q", "-w", "net.netfilter.nf_conntrack_udp_timeout=4",
                   "net.netfilter.nf_conntrack_udp_timeout_stream=4")
    try:
        forget(lab, "home1", "home2")
        eventually("the path is direct", lambda: direct(one, other))
        before = sent(one, "derp") + sent(other, "derp")
        # Now and then a packet, with silence between that is longer than the NATs remember.
        one.ping(other.ip(), count=3, timeout=6)
        one.host.run("ping", "-n", "-c", "2", "-i", "6", "-W", "5", other.ip())
        eventually("the path is direct", lambda: direct(one, other))
        # Discovery may ask for a call over the relay; what people send does not take it.
        assert sent(one, "derp") + sent(other, "derp") - before < 5000, (before, sent(one, "derp"), sent(other, "derp"))
        # A relay's connection is TCP, so what is idle for long is reached through it at once.
        forget(lab, "home1", "home2")
        assert one.ping(other.ip(), count=4, timeout=5).returncode == 0
        eventually("the path is direct again", lambda: direct(one, other))
    finally:
        for router in routers:
            router.run("sysctl", "-q", "-w", "net.netfilter.nf_conntrack_udp_timeout=30",
                       "net.netfilter.nf_conntrack_udp_timeout_stream=120")


@test("a line that loses a fifth of all datagrams, both ways, keeps its direct path and its transfers")
def loss(lab):
    one, other = homes(lab)
    router = lab.nats["nat1"]
    router.run("nft", "add table inet lossy; add chain inet lossy way { type filter hook forward priority -60; }; "
               "add rule inet lossy way meta l4proto udp numgen random mod 100 < 20 drop")
    try:
        transfers = [Transfer(one, other, 0.5), Transfer(other, one, 0.5)]
        for transfer in transfers:
            transfer.finish()
        eventually("the path is direct", lambda: direct(one, other))
        lab.remove("home1")
        one = lab.node("home1")
        eventually("a direct path is found in spite of it", lambda: direct(one, other), patience=2 * PATIENCE)
    finally:
        router.run("nft", "delete table inet lossy")


@test("with 600 ms between them nodes find each other, stay with the direct path, and transfer")
def far(lab):
    one, other = homes(lab)
    lines = []
    for name in ("nat1", "nat2"):
        line = lab.nats[name].spawn(sys.executable, DELAY, "300", "0", stdout=subprocess.PIPE, text=True)
        assert line.stdout.readline() == "ready\n"
        lines.append(line)
    forget(lab, "home1", "home2")
    lab.remove("home1")
    one = lab.node("home1")
    eventually("the path is direct", lambda: one.ping(other.ip(), timeout=5, check=False).returncode == 0
               and one.is_direct(other) and other.is_direct(one), patience=2 * PATIENCE)
    before = sent(one, "derp")
    shown = one.ping(other.ip(), count=3, timeout=5).stdout
    least = float(shown.rsplit("=", 1)[1].split("/")[0])
    assert 590 <= least < 2000, shown
    Transfer(one, other, 0.5).finish()
    assert one.is_direct(other) and other.is_direct(one)
    assert sent(one, "derp") - before < 100e3, "the relay carried what the path could have"
    report = one.call("netcheck", timeout=120).stdout
    assert "UDP: true" in report, report


if __name__ == "__main__":
    main(world)
