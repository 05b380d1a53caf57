# SPDX-License-Identifier: Apache-2.0
"""Draws how much better one relay is than another: one bar a figure, with its spread."""
import math
from html import escape

from plot import STYLE, Canvas

WIDTH, LABELS, ROW, TOP = 820, 330, 26, 70


def draw(published):
    """The picture of all figures that have a ratio, or of none where there was no rival."""
    lines = [line for line in published["lines"] if "timesAsGood" in line]
    canvas, height = Canvas(), TOP + ROW * max(1, len(lines)) + 30
    canvas.box(0, 0, WIDTH, height, "paper")
    canvas.text(16, 30, f"{published['relays'][0]} beside {' and '.join(published['relays'][1:]) or 'no other'}", "title")
    canvas.text(16, 50, "times as good, logarithmic; the thin line is the spread of the rounds", "faint")
    most = max([line["timesAsGood"][2] for line in lines] + [2])
    least = min([line["timesAsGood"][1] for line in lines] + [0.5])

    def place(value):
        share = (math.log(value) - math.log(least)) / (math.log(most) - math.log(least))
        return LABELS + share * (WIDTH - LABELS - 60)

    for mark in (0.1, 0.25, 0.5, 1, 2, 4, 10, 25, 100):
        if least <= mark <= most:
            canvas.line(place(mark), TOP - 8, place(mark), height - 24, "one" if mark == 1 else "grid")
            canvas.text(place(mark), height - 10, f"{mark:g}", "faint", "middle")
    for number, line in enumerate(lines):
        y = TOP + ROW * number
        middle, low, high = line["timesAsGood"]
        canvas.text(LABELS - 10, y + 13, f"{line['figure']}, {line['unit']}", "", "end")
        start, end = sorted((place(1), place(middle)))
        canvas.box(start, y + 4, end - start, 12, "c" if middle >= 1 else "b")
        canvas.line(place(low), y + 10, place(high), y + 10, "spread")
        canvas.text(place(max(middle, high)) + 6, y + 13, f"{middle:.2g}", "value")
    title = escape("The relay beside another")
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"><title>{title}</title>'
            f"<style>{STYLE}</style>\n" + "\n".join(canvas.shapes) + "\n</svg>\n")
