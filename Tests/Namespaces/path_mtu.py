#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Paths that carry less than others, with and without a word about it: no flow is held up for good."""
import contextlib, pathlib, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import eventually, main, test
from laboratory import laboratory
from transfer import Transfer

SIZES = [576, 900, 1280, 1400]


@contextlib.contextmanager
def world():
    with laboratory("mtpm") as lab:
        lab.nat("easy", "home1", "home2")
        for name in ("home1", "home2"):
            # Trains are cut here, as on every real line: the routers' rules are to see what is on the wire.
            lab.hosts[name].run("ethtool", "-K", "eth", "gso", "off", "tso", "off", "tx-udp-segmentation", "off")
            lab.node(name)
        eventually("the path is direct", lambda: direct(lab))
        yield lab


def direct(lab):
    one, other = lab.nodes["home1"], lab.nodes["home2"]
    return one.reaches(other) and one.is_direct(other) and other.is_direct(one)


def swallow(lab, size):
    """Has the first router drop larger UDP packets without a word, both ways; None for no more."""
    host = lab.nats["nat1"]
    host.run("nft", "delete table inet narrow", check=False)
    if size:
        host.run("nft", "add table inet narrow; add chain inet narrow way { type filter hook forward priority -50; }; "
                 f"add rule inet narrow way meta l4proto udp meta length > {size} drop")


def sent(node, kind):
    return sum(value for name, value in node.metrics().items() if "outbound_bytes_total" in name and kind in name)


def both_ways(lab, megabytes):
    one, other = lab.nodes["home1"], lab.nodes["home2"]
    transfers = [Transfer(one, other, megabytes), Transfer(other, one, megabytes)]
    for transfer in transfers:
        transfer.finish()


@test("a router that swallows packets above any size holds nothing up, and what fits goes directly")
def black_holes(lab):
    one = lab.nodes["home1"]
    for size in SIZES:
        swallow(lab, size)
        both_ways(lab, 1)
        before, relayed = sent(one, "direct"), sent(one, "derp")
        both_ways(lab, 2)
        directly = sent(one, "direct") - before
        assert directly > 1.5e6, f"{size}: {directly} bytes went directly, {sent(one, 'derp') - relayed} over the relay"
        assert direct(lab), size
    swallow(lab, None)


@test("a router that begins to swallow large packets in the middle of a transfer delays it by seconds")
def shrinks(lab):
    transfer = Transfer(lab.nodes["home1"], lab.nodes["home2"], 30)
    transfer.reach_half()
    swallow(lab, 600)
    transfer.finish()
    swallow(lab, None)


@test("a link with a smaller MTU, of which routers tell, holds nothing up either")
def told(lab):
    host = lab.hosts["home2"]
    for mtu in (1300, 800):
        host.run("ip", "link", "set", "eth", "mtu", str(mtu))
        both_ways(lab, 1)
    host.run("ip", "link", "set", "eth", "mtu", "1500")
    both_ways(lab, 1)


@test("pings of every size pass, whatever the path swallows")
def pings(lab):
    one, other = lab.nodes["home1"], lab.nodes["home2"]
    swallow(lab, 800)
    for size in (100, 730, 1252 - 28):
        eventually(f"a ping of {size} bytes", lambda: one.ping(other.ip(), size=size, timeout=1, check=False).returncode == 0)
        eventually(f"a ping of {size} bytes over IPv6", lambda: one.ping(other.ip(6), size=size - 20, timeout=1, check=False).returncode == 0)
    swallow(lab, None)


if __name__ == "__main__":
    main(world)
