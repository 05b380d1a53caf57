# SPDX-License-Identifier: Apache-2.0
"""What was measured: kept figure by figure, and written as JSON, as Markdown and as a plot.

Raw values stay in the build directory: they mean nothing on another machine, or tomorrow. What is published are
ratios within a round.
"""
import dataclasses, json, os, pathlib, platform, statistics

from bed import OURS, PLAIN
from figures import LESS, Case
import plot


def machine():
    """What the machine is, in general terms."""
    facts = {}
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    vendor = {"AuthenticAMD": "AMD", "GenuineIntel": "Intel"}.get(facts.get("vendor_id"), platform.machine())
    flags = facts.get("flags", "").split()
    vectors = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"
    kernel = ".".join(platform.release().split(".")[:2])
    family = f" family {facts['cpu family']}" if "cpu family" in facts else ""
    return {"cores": len(os.sched_getaffinity(0)), "processor": f"{vendor}{family}", "vectors": vectors,
            "kernel": f"Linux {kernel}"}


class Results:
    """The cases so far."""

    def __init__(self, raw, documents, settings):
        self.raw, self.documents, self.settings = raw, documents, settings
        self.labels = [rival.label for rival in settings.rivals]
        self.figures, self.was_busy = {}, False

    def resume(self):
        """Takes over what an earlier run with the same rivals had finished."""
        if not self.raw.exists():
            return
        found = json.loads(self.raw.read_text())
        if found["rivals"] == self.labels:
            self.was_busy = found["busy"]
            self.figures = {name: [Case(**case) for case in cases] for name, cases in found["figures"].items()}

    def add(self, name, cases):
        """Keeps a finished figure, and writes everything anew."""
        self.figures[name] = cases
        self.was_busy |= os.getloadavg()[2] > 2 * len(os.sched_getaffinity(0))
        raw = {"rivals": self.labels, "busy": self.was_busy,
               "figures": {name: [dataclasses.asdict(case) for case in cases] for name, cases in self.figures.items()}}
        write(self.raw, json.dumps(raw, indent=1) + "\n")
        published = self.published()
        write(self.documents / "results.json", json.dumps(published, indent=1) + "\n")
        write(self.documents / "results.md", markdown(published))
        write(self.documents / "results.svg", plot.draw(published))

    def published(self):
        """The results as ratios."""
        lines = [self.line(case) for cases in self.figures.values() for case in cases]
        return {"machine": machine(), "isMachineBusy": self.was_busy, "rounds": self.settings.rounds,
                "secondsARun": self.settings.seconds, "ours": OURS, "rivals": self.labels, "lines": lines}

    def line(self, case):
        line = {"figure": case.figure, "name": case.name, "kind": case.kind, "better": case.better}
        if case.kind == "ratio":
            line["goals"] = [case.goal] + [case.goal_newer] * (len(self.labels) - 1)
            line["timesAsGood"] = {label: spread(ratios(case, label)) for label in self.labels if label in case.values}
        elif case.kind == "wire":
            wire = case.values[PLAIN]
            line["shareOfWire"] = {label: spread([one / whole for one, whole in zip(values, wire)])
                                   for label, values in case.values.items() if label != PLAIN}
        elif case.kind == "curve":
            line["offered"] = case.parameter
            line["arrived"] = {label: spread([min(1, value / case.parameter) for value in values])
                               for label, values in case.values.items()}
        else:
            line["values"] = {label: spread(values) for label, values in case.values.items()}
        return line


def ratios(case, label):
    """How many times as good as a rival ours was, round by round."""
    pairs = zip(case.values[OURS], case.values[label])
    return [theirs / ours if case.better == LESS else ours / theirs for ours, theirs in pairs if ours and theirs]


def spread(values):
    """Median, least and greatest, to three digits."""
    return [float(f"{value:.3g}") for value in (statistics.median(values), min(values), max(values))]


def write(path, text):
    """Replaces a file in one step: a run that is stopped leaves a whole one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text)
    beside.replace(path)


def cell(triple, digits=2):
    middle, least, most = triple
    if least == most:
        return f"{number(middle, digits)}"
    return f"**{number(middle, digits)}** ({number(least, digits)}–{number(most, digits)})"


def number(value, digits):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.{digits}f}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def goal_text(line, labels):
    """Which goals there are, and whether the median reached each."""
    told = []
    for goal, label in zip(line["goals"], labels):
        if goal is not None and label in line["timesAsGood"]:
            told.append(f"{goal:g} {'✓' if line['timesAsGood'][label][0] >= goal else '✗'}")
    return ", ".join(told)


def markdown(published):
    """The results for people."""
    labels, lines = published["rivals"], published["lines"]
    of_kind = lambda kind: [line for line in lines if line["kind"] == kind]
    facts = published["machine"]
    text = "<!-- Written by `make bench`. -->\n# Results\n\n"
    text += (f"On {facts['cores']} cores ({facts['processor']}, {facts['vectors']}), {facts['kernel']}"
             f"{', beside other work' if published['isMachineBusy'] else ''}: {published['rounds']} rounds, "
             f"{published['secondsARun']:g} s a run. How to read this: [Benchmarks](../Benchmarks.md).\n\n"
             "![Ratios against the rivals, and UDP under rising load](results.svg)\n")
    if rows := of_kind("ratio"):
        text += "\n## How many times as good\n\nMedian of the rounds' ratios, and the least and the greatest.\n\n"
        text += table(["", *[f"than {label}" for label in labels], "goals"], [
            [line["name"], *[cell(line["timesAsGood"][label]) if label in line["timesAsGood"] else "" for label in labels],
             goal_text(line, labels)] for line in rows])
    everyone = [published["ours"], *labels]
    if rows := of_kind("curve"):
        text += "\n## Datagrams under rising load\n\nThe share of the offered datagrams that arrives, in percent.\n\n"
        text += table(["", *everyone], [
            [line["name"], *[f"{line['arrived'][label][0] * 100:.0f}" for label in everyone]] for line in rows])
    if rows := of_kind("kept"):
        text += "\nWhat arrives under the highest load, as a part of the most that arrived under any: 1 is no collapse.\n\n"
        text += table(["", *everyone], [
            [line["name"].split(":")[0], *[cell(line["values"][label]) for label in everyone]] for line in rows])
    if rows := of_kind("growth"):
        text += "\n## Delay beside a bulk flow\n\nHow many times as long as idle; the goal is 3.\n\n"
        text += table(["", *everyone], [[line["name"], *[cell(line["values"][label]) for label in everyone]] for line in rows])
    if rows := of_kind("lookup"):
        text += "\n## Look-ups in large tables\n\nHow many times as long as among ten.\n\n"
        text += table(["", published["ours"]], [[line["name"], cell(line["values"][published["ours"]])] for line in rows])
    if rows := of_kind("wire"):
        text += "\n## Against the plain wire\n\nOne flow through the tunnel, as a part of one flow past it.\n\n"
        text += table(["", *everyone], [[line["name"], *[cell(line["shareOfWire"][label]) for label in everyone]] for line in rows])
    if rows := of_kind("shares"):
        kinds = list(rows[0]["values"])
        text += "\n## Where our processor time goes\n\nPercent of the daemon's samples.\n\n"
        text += table(["", *kinds], [[line["name"], *[f"{line['values'][kind][0]:.0f}" for kind in kinds]] for line in rows])
    if rows := of_kind("megabytes"):
        text += "\n## Megabytes\n\nThe goals: 12 resident when idle, 25 under load, 15 on disk.\n\n"
        text += table(["", *everyone], [[line["name"], *[cell(line["values"][label], 1) for label in everyone]] for line in rows])
    return text
