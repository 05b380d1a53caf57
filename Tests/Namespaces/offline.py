#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nodes that start while neither the coordination server nor a relay can be reached."""
import contextlib, json, pathlib, stat, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import eventually, main, test
from laboratory import laboratory
from transfer import Transfer


@contextlib.contextmanager
def world():
    with laboratory("mtof") as lab:
        for name in ("lan1", "lan2"):
            lab.node(name)
        one, other = lab.nodes["lan1"], lab.nodes["lan2"]
        eventually("the neighbours talk directly", lambda: one.reaches(other) and one.is_direct(other))
        yield lab


def kept(node):
    return node.directory / "state/netmap.json"


def peer_key(node):
    """The discovery key by which a node would look for its neighbour if it were restarted now."""
    return next(peer["DiscoKey"] for peer in json.loads(kept(node).read_text())["Peers"])


def health(node):
    return " ".join(node.status().get("Health") or [])


def restart(node):
    node.daemon.stop()
    node.start()


@test("the network map is kept in a file that only its owner reads, without private keys")
def file(lab):
    for node in lab.nodes.values():
        eventually("the map is written", lambda: kept(node).exists())
        assert stat.S_IMODE(kept(node).stat().st_mode) == 0o600
        text = kept(node).read_text()
        assert json.loads(text)["Node"] and "privkey" not in text


@test("two neighbours that are restarted with neither server nor relay in reach talk, directly")
def neighbours(lab):
    one, other = lab.nodes["lan1"], lab.nodes["lan2"]
    addresses = one.ip(), other.ip()
    old = [peer_key(node) for node in (one, other)]
    for node in (one, other):
        node.daemon.stop()
    lab.control.daemon.kill()
    for node in (one, other):
        node.start()
    assert (one.ip(), other.ip()) == addresses
    eventually("one reaches the other", lambda: one.reaches(addresses[1]))
    eventually("the other reaches the one", lambda: other.reaches(addresses[0]))
    transfer = Transfer(one, other, 5)
    transfer.finish()
    assert one.is_direct(other) and other.is_direct(one)
    eventually("the status says that the server is not reached", lambda: "not reached" in health(one))
    lab.control.start()
    eventually("the warning goes when the server is back", lambda: "not reached" not in health(one))
    eventually("both are online", lambda: all(node["online"] for node in lab.control.nodes()))
    eventually("each has a fresh key, of which the other knows",
               lambda: all(peer_key(node) not in old for node in (one, other)))


@test("one that is restarted alone is heard by its neighbour, who knows it from before, and again when the server is back")
def alone(lab):
    one, other = lab.nodes["lan1"], lab.nodes["lan2"]
    lab.control.daemon.kill()
    restart(one)
    eventually("the neighbour is reached", lambda: one.reaches(other) and other.reaches(one))
    lab.control.start()
    eventually("both are online", lambda: all(node["online"] for node in lab.control.nodes()))
    for _ in range(3):
        eventually("they still talk", lambda: one.reaches(other) and other.reaches(one))
    restart(other)
    eventually("they talk after a restart as ever", lambda: one.reaches(other) and other.reaches(one))


@test("a map that is damaged, empty or another node's is not believed, and the node starts")
def damaged(lab):
    one, other = lab.nodes["lan1"], lab.nodes["lan2"]
    own, foreign = kept(one).read_text(), kept(other).read_text()
    for text in (own[: len(own) // 2], "null", foreign):
        one.daemon.stop()
        lab.control.daemon.kill()
        kept(one).write_text(text)
        one.start()
        assert not one.status().get("Peer"), text[:40]
        lab.control.start()
        eventually("the server says it anew", lambda: one.reaches(other))


@test("who logs out leaves no map behind, and does not start with one")
def out(lab):
    one = lab.nodes.pop("lan1")
    eventually("the map is there", lambda: kept(one).exists())
    one.call("logout")
    eventually("the map is gone", lambda: not kept(one).exists())
    restart(one)
    assert not one.status().get("Peer") and one.status()["BackendState"] == "NeedsLogin"
    one.daemon.stop()


if __name__ == "__main__":
    main(world)
