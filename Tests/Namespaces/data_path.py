#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the data path costs a host that runs it, and that several threads carry what one does."""
import json, pathlib, sys, time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import BINARIES, Skip, eventually, main, require_tool, test
from laboratory import laboratory

IDLE, BUSY = 12_000, 25_000  # kilobytes
WATCHED, WAKES = 15, 60  # seconds, and how often a data thread may wake in them while nothing is sent
RELEASED = 20_000_000  # bytes: a debug build is far larger


def world():
    return laboratory("mtdp")


def transfer(source, sink, seconds=1, reverse=False):
    """Moves bytes over four flows; how many arrived."""
    sink.host.spawn("iperf3", "-s", "-1", "-B", sink.ip(), stdout=-3, stderr=-3)
    eventually("iperf3 listens", lambda: ":5201 " in sink.host.run("ss", "-ltn").stdout, pause=0.02)
    told = source.host.run("iperf3", "-c", sink.ip(), "-t", seconds, "-P", 4, "-J", *(["-R"] if reverse else []))
    return json.loads(told.stdout)["end"]["sum_received"]["bytes"]


@test("an idle node takes no more than 12 MB, and one under load no more than 25 MB")
def memory(lab):
    require_tool("iperf3")
    if (BINARIES / "martletd").stat().st_size > RELEASED:
        raise Skip("this is no released program")
    first, second = lab.node("lan1"), lab.node("lan2")
    eventually("they talk directly", lambda: first.reaches(second) and first.is_direct(second))

    def is_settled():
        resident = first.daemon.resident_kilobytes()
        if resident > IDLE:
            raise AssertionError(f"{resident} kB are resident")
        return True

    eventually("what only the start needed is given back", is_settled, pause=1)
    print(f"    idle: {first.daemon.resident_kilobytes()} kB", flush=True)
    for reverse in (False, True):
        transfer(first, second, reverse=reverse)
        resident = first.daemon.resident_kilobytes()
        print(f"    loaded: {resident} kB", flush=True)
        assert resident <= BUSY, f"{resident} kB under load"


@test("the data path of an idle node sleeps")
def sleeping(lab):
    first, second = lab.node("lan1"), lab.node("lan2")
    eventually("they talk directly", lambda: first.reaches(second) and first.is_direct(second))
    name = "martlet_data_plane_wakeups_total"
    before = first.metrics()[name]
    time.sleep(WATCHED)
    woken = first.metrics()[name] - before
    print(f"    woken {woken:.0f} times in {WATCHED} s", flush=True)
    assert woken <= WAKES, f"woken {woken:.0f} times while nothing was sent"


@test("four shards carry flows in both directions, and a node with one shard talks with them")
def shards(lab):
    require_tool("iperf3")
    many = lab.node("lan1", fresh=True, extra=("--shards", "4"))
    one = lab.node("lan2")
    eventually("they talk directly", lambda: many.reaches(one) and many.is_direct(one))
    for reverse in (False, True):
        assert transfer(many, one, reverse=reverse) > 1e6
    names = [path.read_text().strip() for path in pathlib.Path(f"/proc/{many.daemon.pid}/task").glob("*/comm")]
    threads = [name for name in names if name.startswith("data")]
    assert len(threads) == 4, f"threads of the data path: {threads}"
    many.daemon.stop()
    links = many.host.run("ip", "-o", "link").stdout
    assert "martlet" not in links, f"an interface is left: {links}"


main(world)
