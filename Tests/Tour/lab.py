#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The small internet that `make lab` leaves running: four nodes that reach each other, and nothing left of it after."""
import contextlib, pathlib, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import BINARIES, ROOT, eventually, main, require_programs, require_root, run, test

PREFIX = "mlt"


def lab(program, verb, **options):
    return run(ROOT / "Scripts/lab" / program, "--prefix", PREFIX, verb, timeout=300, **options)


class World:
    printed = ""

    def martlet(self, name, *arguments):
        socket = f"/run/{PREFIX}/{name}/martletd.sock"
        return run("ip", "netns", "exec", f"{PREFIX}-{name}", BINARIES / "martlet", "--socket", socket, *arguments, check=False)


@contextlib.contextmanager
def world():
    require_programs("martletd", "martlet", "martlet-control")
    require_root()
    try:
        yield World()
    finally:
        lab("tailnet", "down", check=False)
        lab("lab", "down", check=False)


@test("the lab comes up and prints how to enter each host")
def up(world):
    lab("lab", "up")
    world.printed = lab("tailnet", "up").stdout
    for name in ("lan1", "lan2", "home1", "home2"):
        assert f"ip netns exec {PREFIX}-{name} " in world.printed, world.printed


@test("every node of the lab reaches every other")
def reach(world):
    names = ("lan1", "lan2", "home1", "home2")
    for one in names:
        for other in names:
            if one != other:
                eventually(f"{one} reaches {other}", lambda: "pong from" in world.martlet(
                    one, "ping", "--c", "1", "--timeout", "5s", other).stdout)


@test("nothing is left of the lab when it is taken down")
def down(world):
    lab("tailnet", "down")
    lab("lab", "down")
    assert f"{PREFIX}-" not in run("ip", "netns", "list").stdout
    assert not pathlib.Path(f"/run/{PREFIX}").exists()


if __name__ == "__main__":
    main(world)
