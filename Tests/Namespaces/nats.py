#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The laboratory itself: its networks carry packets and its NATs are of the kinds they claim to be."""
import contextlib, pathlib, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import ROOT, main, require_root, require_tool, run, test

PREFIX = "mtn"


def lab(*arguments, **options):
    return run(ROOT / "Scripts/lab/lab", "--prefix", PREFIX, *arguments, **options)


@contextlib.contextmanager
def networks():
    require_root()
    require_tool("ip", "nft", "ping", "conntrack")
    lab("down")
    lab("up")
    try:
        yield
    finally:
        lab("down")


@test("every host reaches the public server, neighbours reach each other")
def reach(_):
    for host in ("lan1", "lan2", "home1", "home2"):
        lab("enter", host, "ping", "-n", "-c", "1", "-W", "5", "10.99.0.1")
    lab("enter", "lan1", "ping", "-n", "-c", "1", "-W", "5", "192.168.77.12")


@test("a friendly NAT keeps one mapping, a symmetric one does not, a blocking one drops UDP")
def kinds(_):
    for kind in ("easy", "hard", "blocked", "easy"):
        lab("nat", "home1", kind)
        lab("assert-nat", "home1", kind)


@test("the check of a NAT fails when the NAT is of another kind")
def check(_):
    lab("nat", "home2", "easy")
    refused = lab("assert-nat", "home2", "hard", check=False)
    assert refused.returncode != 0 and "easy" in refused.stderr, refused


@test("a second laboratory of the same name is refused, and one that is gone leaves no namespace")
def again(_):
    refused = lab("up", check=False)
    assert refused.returncode != 0 and "exists already" in refused.stderr, refused
    lab("down")
    assert f"{PREFIX}-" not in run("ip", "netns", "list").stdout
    lab("up")


if __name__ == "__main__":
    main(networks)
