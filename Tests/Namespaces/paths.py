#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which path two nodes find through which networks, and that traffic survives what happens to it."""
import json, pathlib, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import PATIENCE, eventually, main, test
from laboratory import laboratory
from transfer import Transfer

def paths(node):
    """Bytes sent by path: direct and over the relay."""
    found = node.metrics()
    total = {"direct": 0, "derp": 0}
    for name, value in found.items():
        if "outbound_bytes_total" in name:
            total["direct" if "direct" in name else "derp"] += value
    return total


def becomes_direct(one, other):
    """Sends until the path is direct."""
    done = one.call("ping", "--until-direct", "--c", "60", "--timeout", "5s", other.ip(), check=False, timeout=400)
    assert done.returncode == 0, f"no direct path: {done.stdout}{done.stderr}"
    eventually("the status tells the direct path", lambda: one.is_direct(other))


def stays_relayed(one, other):
    done = one.call("ping", "--until-direct", "--c", "8", "--timeout", "5s", other.ip(), check=False, timeout=200)
    assert "via DERP" in done.stdout, done.stdout + done.stderr
    assert not one.is_direct(other), one.peer(other)


@test("two nodes on one network talk directly, over both families inside")
def same_network(lab):
    lab.nat("easy", "lan1")
    one, other = lab.node("lan1"), lab.node("lan2")
    becomes_direct(one, other)
    eventually("a ping over IPv4", lambda: one.reaches(other))
    eventually("a ping over IPv6", lambda: one.reaches(other, family=6))
    address = one.peer(other)["CurAddr"].rsplit(":", 1)[0]
    assert address in lab.hosts["lan2"].addresses(), f"{address} is not the neighbour's own address"


@test("where IPv4 between two nodes is closed they talk directly over IPv6")
def outside_v6(lab):
    lab.nat("easy", "lan1")
    one, other = lab.node("lan1"), lab.node("lan2")
    eventually("a ping", lambda: one.reaches(other))
    hosts = [lab.hosts[name] for name in ("lan1", "lan2")]
    addresses = [host.addresses()[0] for host in hosts]
    for index, host in enumerate(hosts):
        link = json.loads(host.run("ip", "-j", "route", "get", "10.99.0.1").stdout)[0]["dev"]
        host.run("ip", "address", "add", f"2001:db8:77::{index + 1}/64", "dev", link, "nodad")
        host.run("nft", "add table inet closed; add chain inet closed in { type filter hook input priority 0; }; "
                 f"add rule inet closed in ip saddr {addresses[1 - index]} drop")
    eventually("the path is IPv6", lambda: one.reaches(other) and
               (one.peer(other) or {}).get("CurAddr", "").startswith("[2001:db8:77::2]"), patience=3 * PATIENCE)
    before = one.metrics()['tailscaled_outbound_bytes_total{path="direct_ipv6"}']
    transfer = Transfer(one, other, 5)
    transfer.finish()
    assert one.metrics()['tailscaled_outbound_bytes_total{path="direct_ipv6"}'] - before > 5e6
    assert one.reaches(other, family=6)
    for index, host in enumerate(hosts):
        host.run("nft", "delete table inet closed")
        link = json.loads(host.run("ip", "-j", "route", "get", "10.99.0.1").stdout)[0]["dev"]
        host.run("ip", "address", "delete", f"2001:db8:77::{index + 1}/64", "dev", link)
    eventually("the path is IPv4 again", lambda: one.reaches(other) and
               (one.peer(other) or {}).get("CurAddr", "").startswith(addresses[1]), patience=3 * PATIENCE)


@test("shields up let answers in and nothing else, and down again everything")
def shields(lab):
    one, other = lab.node("lan1"), lab.node("lan2")
    eventually("a ping", lambda: other.reaches(one))
    one.call("set", "--shields-up")
    eventually("nothing comes in", lambda: not other.reaches(one))
    assert one.reaches(other)
    one.call("set", "--shields-up=false")
    eventually("it comes in again", lambda: other.reaches(one))


@test("two nodes behind friendly NATs punch through and talk directly")
def friendly(lab):
    lab.nat("easy", "home1", "home2")
    one, other = lab.node("home1", fresh=True), lab.node("home2", fresh=True)
    eventually("a ping", lambda: one.reaches(other))
    becomes_direct(one, other)


@test("two nodes behind symmetric NATs talk over the relay")
def symmetric(lab):
    lab.nat("hard", "home1", "home2")
    one, other = lab.node("home1", fresh=True), lab.node("home2", fresh=True)
    eventually("a ping", lambda: one.reaches(other))
    stays_relayed(one, other)
    before = paths(one)["derp"]
    one.ping(other.ip(), count=3)
    assert paths(one)["derp"] > before


@test("a node whose network blocks UDP talks over the relay")
def blocked(lab):
    lab.nat("blocked", "home1")
    lab.nat("easy", "home2")
    one, other = lab.node("home1", fresh=True), lab.node("home2", fresh=True)
    eventually("a ping", lambda: one.reaches(other))
    stays_relayed(one, other)


@test("a transfer over a direct path survives the death and return of the other daemon")
def daemon_killed(lab):
    lab.nat("easy", "home1", "home2")
    one, other = lab.node("home1", fresh=True), lab.node("home2", fresh=True)
    becomes_direct(one, other)
    before = paths(one)
    transfer = Transfer(one, other, 40)
    transfer.reach_half()
    other.daemon.kill()
    other.start()
    transfer.finish()
    after = paths(one)
    assert after["direct"] - before["direct"] > 10e6, (before, after)


@test("a transfer over the relay survives the relay's death and return")
def relay_killed(lab):
    lab.nat("hard", "home1", "home2")
    one, other = lab.node("home1", fresh=True), lab.node("home2", fresh=True)
    eventually("a ping", lambda: one.reaches(other))
    before = paths(one)
    transfer = Transfer(one, other, 20)
    transfer.reach_half()
    lab.control.daemon.kill()
    lab.control.start()
    transfer.finish()
    after = paths(one)
    assert after["derp"] - before["derp"] > 10e6 and after["direct"] == before["direct"], (before, after)


@test("a direct transfer does not notice that the coordination server dies")
def server_killed(lab):
    lab.nat("easy", "lan1")
    one, other = lab.node("lan1"), lab.node("lan2")
    becomes_direct(one, other)
    before = paths(one)
    transfer = Transfer(one, other, 40)
    transfer.reach_half()
    lab.control.daemon.kill()
    transfer.finish()
    after = paths(one)
    lab.control.start()
    assert after["direct"] - before["direct"] > 30e6, (before, after)
    eventually("both are online again", lambda: all(node["online"] for node in lab.control.nodes()
                                                    if node["ip_addresses"][0] in (one.ip(), other.ip())))


@test("a transfer survives a change of address")
def address_change(lab):
    lab.nat("easy", "lan1")
    one, other = lab.node("lan1"), lab.node("lan2")
    becomes_direct(one, other)
    host = lab.hosts["lan2"]
    old = host.addresses()[0]
    new = old.rsplit(".", 1)[0] + ".77"
    link = json.loads(host.run("ip", "-j", "route", "get", "10.99.0.1").stdout)[0]
    transfer = Transfer(one, other, 40)
    transfer.reach_half()
    host.run("ip", "address", "delete", f"{old}/24", "dev", link["dev"])
    host.run("ip", "address", "add", f"{new}/24", "dev", link["dev"])
    host.run("ip", "route", "replace", "default", "via", link["gateway"])
    transfer.finish()
    eventually("the new address is the path",
               lambda: one.reaches(other) and new in (one.peer(other) or {}).get("CurAddr", ""))
    host.run("ip", "address", "delete", f"{new}/24", "dev", link["dev"])
    host.run("ip", "address", "add", f"{old}/24", "dev", link["dev"])
    host.run("ip", "route", "replace", "default", "via", link["gateway"])


@test("a path that dies falls back to the relay and comes back")
def path_dies(lab):
    lab.nat("easy", "home1", "home2")
    one, other = lab.node("home1", fresh=True), lab.node("home2", fresh=True)
    becomes_direct(one, other)
    lab.nat("blocked", "home2")
    eventually("pings go over the relay", lambda: one.reaches(other))
    eventually("the status tells the relay", lambda: one.reaches(other) and not one.is_direct(other))
    lab.nat("easy", "home2")
    becomes_direct(one, other)


@test("a removed node loses access at once")
def removed(lab):
    lab.nat("easy", "lan1")
    one, other = lab.node("lan1"), lab.node("lan2")
    eventually("a ping", lambda: one.reaches(other))
    address = other.ip()
    found = next(node for node in lab.control.nodes() if address in node["ip_addresses"])
    lab.control.call("nodes", "delete", found["id"], "--force")
    eventually("the peer is gone", lambda: one.peer(address) is None, patience=10)
    assert not one.reaches(address)
    eventually("the removed node says that it must log in", lambda: other.status()["BackendState"] == "NeedsLogin")
    lab.nodes.pop("lan2").daemon.stop()


@test("an expired node loses access at once")
def expired(lab):
    one, other = lab.node("lan1"), lab.node("home2")
    eventually("a ping", lambda: one.reaches(other))
    address = other.ip()
    found = next(node for node in lab.control.nodes() if address in node["ip_addresses"])
    lab.control.call("nodes", "expire", found["id"])
    eventually("the peer is not reached", lambda: not one.reaches(address), patience=20)
    lab.nodes.pop("home2").daemon.stop()


if __name__ == "__main__":
    main(laboratory)
