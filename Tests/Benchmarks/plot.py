# SPDX-License-Identifier: Apache-2.0
"""Draws results as SVG: bars of ratios with their spread, and what arrives under rising load.

The picture follows the reader's colour scheme; where that is not told it is dark on white.
"""
import math
from html import escape

WIDTH, LABELS, GAP, ROW, BAR, TOP = 980, 200, 26, 30, 9, 96
PANEL = (WIDTH - LABELS - 3 * GAP) / 2
#: Of the rivals; ours has its own.
COLOURS, OWN = ("a", "b", "d"), "c"
STYLE = """
  :root { --paper: #ffffff; --ink: #1f2328; --faint: #6e7781; --line: #d8dee4; --band: #f6f8fa;
          --a: #3b6fd4; --b: #d97a1d; --c: #2a9d8f; --d: #8e5bb5; }
  @media (prefers-color-scheme: dark) {
    :root { --paper: #0d1117; --ink: #e6edf3; --faint: #9198a1; --line: #30363d; --band: #151b23;
            --a: #6ea0ff; --b: #f0a04b; --c: #4fd1c0; --d: #c297eb; } }
  text { font-family: system-ui, "Segoe UI", "DejaVu Sans", sans-serif; font-size: 12px; fill: #1f2328; fill: var(--ink); }
  .title { font-size: 19px; font-weight: 600; } .head { font-size: 13px; font-weight: 600; }
  .faint { fill: #6e7781; fill: var(--faint); font-size: 11px; } .value { font-size: 10px; }
  .paper { fill: #ffffff; fill: var(--paper); } .band { fill: #f6f8fa; fill: var(--band); }
  .grid { stroke: #d8dee4; stroke: var(--line); } .one { stroke: #6e7781; stroke: var(--faint); stroke-width: 1.5; }
  .spread { stroke: #1f2328; stroke: var(--ink); stroke-width: 1.2; opacity: 0.75; }
  .goal { stroke: #1f2328; stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 2 2; }
  .a { fill: #3b6fd4; fill: var(--a); } .b { fill: #d97a1d; fill: var(--b); }
  .c { fill: #2a9d8f; fill: var(--c); } .d { fill: #8e5bb5; fill: var(--d); }
  .curve { fill: none; stroke-width: 2.2; }
  .curve.a { stroke: #3b6fd4; stroke: var(--a); } .curve.b { stroke: #d97a1d; stroke: var(--b); }
  .curve.c { stroke: #2a9d8f; stroke: var(--c); } .curve.d { stroke: #8e5bb5; stroke: var(--d); }
"""


class Canvas:
    """Shapes, in the order in which they are drawn."""

    def __init__(self):
        self.shapes = []

    def text(self, x, y, words, style="", anchor="start"):
        self.shapes.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">{escape(words)}</text>')

    def line(self, x1, y1, x2, y2, style):
        self.shapes.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{style}"/>')

    def box(self, x, y, width, height, style, radius=0):
        self.shapes.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(0, width):.1f}" height="{height:.1f}" rx="{radius}" class="{style}"/>')

    def path(self, points, style):
        self.shapes.append(f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" class="{style}"/>')

    def dot(self, x, y, style):
        self.shapes.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" class="{style}"/>')


def times(value):
    """A factor as people write it."""
    return f"{value:.0f}×" if value >= 10 or value == int(value) else f"1/{1 / value:.0f}×" if value < 1 else f"{value:g}×"


def bars(canvas, x, y, title, rows, labels, named):
    """A panel of ratios on a doubling scale, bars from 1 outwards; the height that it took.

    `rows` are pairs of a name and a line of the results, or of None where that was not measured.
    """
    height = ROW * len(rows)
    values = [value for _, line in rows if line for triple in line["timesAsGood"].values() for value in triple]
    low = min(0, math.floor(math.log2(max(0.05, min(values, default=1)))))
    high = max(2, math.ceil(math.log2(max(values, default=4))))
    place = lambda value: x + (math.log2(max(value, 2.0 ** low)) - low) / (high - low) * PANEL
    canvas.text(x, y - 22, title, "head")
    for index, (name, _) in enumerate(rows):
        if index % 2 == 0:
            canvas.box(x if not named else GAP / 2, y + index * ROW, PANEL + (x - GAP / 2 if named else 0), ROW, "band")
        if named:
            canvas.text(x - 10, y + index * ROW + ROW / 2 + 4, name, anchor="end")
    for power in range(low, high + 1):
        at = place(2.0 ** power)
        canvas.line(at, y, at, y + height, "one" if power == 0 else "grid")
        canvas.text(at, y - 6, times(2.0 ** power), "faint", "middle")
    for index, (_, line) in enumerate(rows):
        shown = [label for label in labels if line and label in line["timesAsGood"]]
        first = y + index * ROW + (ROW - BAR * len(shown)) / 2
        for turn, label in enumerate(shown):
            bar(canvas, place, first + turn * BAR, COLOURS[labels.index(label) % len(COLOURS)], line["timesAsGood"][label])
            goal = line["goals"][labels.index(label)]
            if goal:
                canvas.line(place(goal), first + turn * BAR, place(goal), first + (turn + 1) * BAR, "goal")
    return height


def bar(canvas, place, y, colour, triple):
    middle, least, most = triple
    left, right = sorted((place(1), place(middle)))
    canvas.box(left, y + 0.5, right - left, BAR - 1, colour, 1.5)
    canvas.line(place(least), y + BAR / 2, place(most), y + BAR / 2, "spread")
    for end in (least, most):
        canvas.line(place(end), y + 2, place(end), y + BAR - 2, "spread")


def curves(canvas, x, y, height, title, rows, everyone):
    """What arrives of what is offered, one line for each daemon."""
    arrived = lambda line, label: line["offered"] * line["arrived"][label][0]
    top = max(arrived(line, label) for line in rows for label in everyone)
    width = PANEL - 36
    step = width / max(1, len(rows) - 1)
    canvas.text(x, y - 10, title, "head")
    for part in range(5):
        at = y + height - height * part / 4
        canvas.line(x, at, x + width, at, "grid")
    for index, line in enumerate(rows):
        canvas.text(x + index * step, y + height + 15, f"{line['offered'] / 1000:g}k", "faint", "middle")
    for label in reversed(everyone):
        points = [(x + index * step, y + height - height * arrived(line, label) / top) for index, line in enumerate(rows)]
        colour = colour_of(label, everyone)
        canvas.path(points, f"curve {colour}")
        for point in points:
            canvas.dot(*point, colour)


def colour_of(label, everyone):
    """The rivals keep the colours of their bars."""
    ours, *rivals = everyone
    return OWN if label == ours else COLOURS[rivals.index(label) % len(COLOURS)]


def short(name):
    """A case's name without what the panel says."""
    for long in ("processor time a byte: ", "TCP, "):
        name = name.removeprefix(long)
    return name.replace(", each host on one core", ", pinned").replace("one flow", "1 flow").replace(", MTU 1280", "")


def legend(canvas, x, y, entries):
    for colour, words in entries:
        canvas.box(x, y - 9, 12, 10, colour, 2)
        canvas.text(x + 16, y, words)
        x += 32 + 6.6 * len(words)


def draw(published):
    """The picture as text."""
    labels, ours = published["rivals"], published["ours"]
    lines = [line for line in published["lines"] if line["kind"] == "ratio"]
    cost = {short(line["name"]): line for line in lines if line["name"].startswith("processor")}
    rates = {short(line["name"]): line for line in lines if line["name"].startswith("TCP")}
    others = [(line["name"], line) for line in lines if line not in cost.values() and line not in rates.values()]
    curve = {size: [line for line in published["lines"] if line["kind"] == "curve" and f" {size} bytes" in line["name"]]
             for size in (64, 1200)}
    canvas, y, x = Canvas(), TOP + 30, LABELS + GAP
    facts = published["machine"]
    canvas.text(GAP / 2, 34, "Martlet against wireguard-go", "title")
    canvas.text(GAP / 2, 54, f"Times as good, median and spread of {published['rounds']} rounds in turns; {facts['cores']} cores, "
                f"{facts['processor']}, {facts['kernel']}. Bars to the right of 1 are in Martlet's favour; dashes are goals.", "faint")
    legend(canvas, GAP / 2, 78, [(COLOURS[index % len(COLOURS)], f"than {label}") for index, label in enumerate(labels)])
    if rates:
        names = list(rates)
        height = bars(canvas, x, y, "Throughput", [(name, rates[name]) for name in names], labels, True)
        bars(canvas, x + PANEL + GAP, y, "Bytes for the same processor time", [(name, cost.get(name)) for name in names], labels, False)
        y += height + 64
    bottom = y
    if others:
        wide = [(name.replace("handshakes answered in a second of one core", "handshakes on one core")
                 .replace(": what arrives under the highest load", ", overload").replace(": most that arrive", ", best")
                 .replace("99th of 100", "p99").replace(" beside a bulk flow", ", busy"), line) for name, line in others]
        bottom = y + bars(canvas, x, y, "Delay, datagrams, handshakes", wide, labels, True)
    at = y
    for size, rows in curve.items():
        if rows:
            place = x + PANEL + GAP + 8
            curves(canvas, place, at, 118, f"UDP, {size} bytes: arriving, by offered a second", rows, [ours, *labels])
            at += 176
    if at > y:
        for index, label in enumerate([ours, *labels]):
            legend(canvas, x + PANEL + GAP + 8, at - 20 + 16 * index, [(colour_of(label, [ours, *labels]), label)])
        at += 16 * len(labels)
    bottom = max(bottom, at) + 14
    body = "\n".join(canvas.shapes)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom:.0f}" width="{WIDTH}" height="{bottom:.0f}" '
            f'role="img" aria-label="Ratios of Martlet against wireguard-go">\n<style>{STYLE}</style>\n'
            f'<rect width="100%" height="100%" class="paper"/>\n{body}\n</svg>\n')
