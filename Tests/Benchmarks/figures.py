# SPDX-License-Identifier: Apache-2.0
"""The figures: each is a few cases, measured for all tunnels of a bed in turns.

A value is larger or smaller for the better; what counts are ratios within one round, ours against each rival's.
"""
import dataclasses, json, pathlib, shutil, sys, time, traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import BINARIES, run
from bed import OURS
import loads, shares

MORE, LESS = "more", "less"
SETTLING = 20
OFFERED = (25_000, 50_000, 100_000, 200_000, 400_000)
HANDSHAKE_RATE = 160


@dataclasses.dataclass
class Case:
    """One line of the results: values by tunnel, one a round."""

    figure: str
    name: str
    better: str
    values: dict = dataclasses.field(default_factory=dict)
    #: At least how many times as good as the oldest rival, and as each newer one.
    goal: float | None = None
    goal_newer: float | None = None
    #: Groups lines into tables, and says how to show them.
    kind: str = "ratio"
    parameter: float = 0

    def add(self, label, value):
        self.values.setdefault(label, []).append(value)


@dataclasses.dataclass
class Settings:
    rounds: int
    seconds: float
    rivals: list


def again(measure, *arguments):
    """What `measure` tells; it may fail once, as a busy machine makes it."""
    try:
        return measure(*arguments)
    except Exception:
        traceback.print_exc()
        time.sleep(2)
        return measure(*arguments)


def in_turns(settings, tunnels, measure):
    """Calls `measure` for every tunnel, round by round."""
    for _ in range(settings.rounds):
        for tunnel in tunnels:
            again(measure, tunnel)


def throughput(bed, settings, figure, flows, reverse, family, goals, cost_goals=(None, None)):
    """A bulk transfer's two cases: throughput, and processor time for a byte."""
    way = "back" if reverse else "there"
    name = f"TCP, {'one flow' if flows == 1 else f'{flows} flows'} {way}, IPv{family}, MTU {bed.mtu}"
    rate = Case(figure, name, MORE, goal=goals[0], goal_newer=goals[1])
    cost = Case(figure, f"processor time a byte: {name}", LESS, goal=cost_goals[0], goal_newer=cost_goals[1])

    def measure(tunnel):
        gigabits, seconds_a_gigabyte = loads.bulk(bed, tunnel, settings.seconds, family, flows, reverse)
        rate.add(tunnel.label, gigabits)
        cost.add(tunnel.label, seconds_a_gigabyte)

    in_turns(settings, bed.tunnels.values(), measure)
    return [rate, cost]


TCP_GOALS, PINNED_GOALS, COST_GOALS = (7, 1.8), (1.2, 1.2), (2.5, 2.5)


def tcp(bed, settings):
    cases = []
    for family in (4, 6):
        for flows in (1, 4):
            for reverse in (False, True):
                cases += throughput(bed, settings, "tcp", flows, reverse, family, TCP_GOALS, COST_GOALS)
    return cases


def tcp_1420(bed, settings):
    return [case for flows, reverse, family in ((1, False, 4), (1, True, 4), (4, False, 6))
            for case in throughput(bed, settings, "tcp-1420", flows, reverse, family, TCP_GOALS, COST_GOALS)]


def pinned(bed, settings):
    cases = [case for reverse in (False, True)
             for case in throughput(bed, settings, "pinned", 1, reverse, 4, PINNED_GOALS)]
    for case in cases:
        case.name += ", each host on one core"
    return cases


def veth(bed, settings):
    """One flow on each tunnel and on the wire under it."""
    case = Case("veth", "TCP, one flow, against the plain wire", MORE, kind="wire")

    def measure(tunnel):
        client = loads.begin_iperf(bed, tunnel.addresses[4], settings.seconds)
        case.add(tunnel.label, loads.end_iperf(client))

    in_turns(settings, [bed.plain, *bed.tunnels.values()], measure)
    return [case]


def udp(bed, settings):
    """Datagrams that arrive at rising loads."""
    cases = []
    for size in (64, 1200):
        curve = {rate: Case("udp", f"UDP, {size} bytes, {rate // 1000} thousand a second offered", MORE, kind="curve",
                            parameter=rate) for rate in OFFERED}
        best = Case("udp", f"UDP, {size} bytes: most that arrive", MORE, goal=3, goal_newer=3)
        worst = Case("udp", f"UDP, {size} bytes: what arrives under the highest load", MORE, goal=3, goal_newer=3)
        kept = Case("udp", f"UDP, {size} bytes: kept under the highest load, of the most", MORE, kind="kept")

        def measure(tunnel):
            arrived = []
            for rate in OFFERED:
                value, _ = loads.datagrams(bed, tunnel, size, rate, min(1, settings.seconds))
                arrived.append(value)
                curve[rate].add(tunnel.label, value)
            best.add(tunnel.label, max(arrived))
            worst.add(tunnel.label, arrived[-1])
            kept.add(tunnel.label, arrived[-1] / max(arrived))

        in_turns(settings, bed.tunnels.values(), measure)
        cases += [best, worst, kept, *curve.values()]
    return cases


def ping(bed, settings):
    idle = [Case("ping", f"ping, idle, {what}", LESS, goal=2.5, goal_newer=2.5) for what in ("median", "99th of 100")]
    busy = [Case("ping", f"ping beside a bulk flow, {what}", LESS) for what in ("median", "99th of 100")]
    growth = Case("ping", "ping: 99th of 100 beside a bulk flow, against idle", LESS, kind="growth")

    def measure(tunnel):
        quiet = loads.round_trips(bed, tunnel.addresses[4])
        loud = loads.round_trips_under_load(bed, tunnel, settings.seconds)
        for case, value in zip([*idle, *busy, growth], [*quiet, *loud, loud[1] / quiet[1]]):
            case.add(tunnel.label, value)

    in_turns(settings, bed.tunnels.values(), measure)
    return [*idle, *busy, growth]


def memory(bed, settings):
    """Megabytes of one daemon before any load, and in the middle of one."""
    fields = {"VmRSS": "resident memory", "RssAnon": "memory of its own"}
    cases = {(when, field): Case("memory", f"{what}, {when}", LESS, kind="megabytes")
             for when in ("idle", "under load") for field, what in fields.items()}

    def note(when, tunnel):
        for field in fields:
            cases[when, field].add(tunnel.label, loads.memory(tunnel.pids, field))

    # Our daemon gives back what only its start needed; see GiveBackRule. All get the same time.
    time.sleep(SETTLING)
    for tunnel in bed.tunnels.values():
        note("idle", tunnel)

    def measure(tunnel):
        client = loads.begin_iperf(bed, tunnel.addresses[4], settings.seconds, flows=4)
        time.sleep(settings.seconds * 0.7)
        note("under load", tunnel)
        loads.end_iperf(client)

    in_turns(settings, bed.tunnels.values(), measure)
    return list(cases.values())


def size(_, settings):
    """Megabytes of the daemon's program."""
    case = Case("size", "program on disk", LESS, kind="megabytes")
    case.add(OURS, (BINARIES / "martletd").stat().st_size / 1e6)
    for rival in settings.rivals:
        case.add(rival.label, pathlib.Path(shutil.which(rival.program)).stat().st_size / 1e6)
    return [case]


def lookups(_, settings):
    """How much longer a look-up takes in larger tables: of ours alone, in memory."""
    told = [json.loads(run(BINARIES / "martlet-bench", "lookups").stdout) for _ in range(settings.rounds)]
    cases = []
    for what, noun in (("prefixes", "finding a peer among"), ("rules", "judging a packet by")):
        least, *more = sorted((name for name in told[0] if name.startswith(what)), key=lambda name: int(name[len(what):]))
        for name in more:
            case = Case("lookups", f"{noun} {int(name[len(what):]):,} {what}", LESS, kind="lookup")
            for round in told:
                case.add(OURS, round[name] / round[least])
            cases.append(case)
    return cases


def handshakes(bed, settings):
    case = Case("handshakes", "handshakes answered in a second of one core", MORE, goal=3, goal_newer=3)
    for tunnel in bed.tunnels.values():
        # The first of a peer costs more: secrets with it are computed once.
        again(loads.handshakes, bed, tunnel, 1, HANDSHAKE_RATE)
    rounds = max(4, int(settings.seconds * 4))
    in_turns(settings, bed.tunnels.values(),
             lambda tunnel: case.add(tunnel.label, loads.handshakes(bed, tunnel, rounds, HANDSHAKE_RATE)))
    return [case]


def profile(bed, settings):
    """Where our processor time goes: not a comparison, hence measured once."""
    if not shares.is_possible():
        print("profile: perf is not installed")
        return []
    tunnel, cases = bed.tunnels[OURS], []
    for load in ("TCP, one flow", "UDP, 64 bytes, 200 thousand a second"):
        seconds = max(3, settings.seconds)
        recordings = {end: shares.Recording(bed.directory, f"{len(cases)}{end}", pid, seconds)
                      for end, pid in zip(("sender", "receiver"), tunnel.pids)}
        if load.startswith("TCP"):
            loads.bulk(bed, tunnel, seconds)
        else:
            loads.datagrams(bed, tunnel, 64, 200_000, seconds)
        for end, recording in recordings.items():
            percent, functions = recording.shares()
            cases.append(Case("profile", f"{load}: {end}", LESS, values={kind: [part] for kind, part in percent.items()},
                              kind="shares"))
            print(f"{load}: {end}: " + "; ".join(f"{name} {part:g}" for part, name in functions), flush=True)
    return cases


#: Which figures are measured on which bed, in this order.
BEDS = [
    (None, [size, lookups]),
    ({"mtu": 1280}, [memory, veth, ping, tcp, udp, profile]),
    ({"mtu": 1420}, [tcp_1420]),
    ({"mtu": 1280, "pinned": True}, [pinned]),
    ({"mtu": 1280, "handshakes": True}, [handshakes]),
]


def name_of(figure):
    return figure.__name__.replace("_", "-")
