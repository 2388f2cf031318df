"""Recall against speed as an SVG: recall to the right, queries a second upwards on a log scale.

Further up and further to the right is better. Each engine has a colour and a mark of its own, so
that it can be told apart in print, too.
"""

import math
from html import escape

WIDTH, HEIGHT = 860, 470
LEFT, RIGHT, TOP, BOTTOM = 80, 190, 44, 56  # margins around the plot itself
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f5f00", "#666666",
           "#882255", "#117733", "#332288", "#999933", "#44aa99"]
MARKS = ["circle", "square", "diamond", "triangle", "cross"]
FONT = 'font-family="system-ui, sans-serif"'


def mark(kind, x, y, colour):
    r = 3.5
    if kind == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" fill="{colour}"/>'
    if kind == "square":
        return f'<rect x="{x - r:.1f}" y="{y - r:.1f}" width="{2 * r}" height="{2 * r}" ' \
               f'fill="{colour}"/>'
    if kind == "cross":
        return f'<path d="M{x - r:.1f} {y - r:.1f}l{2 * r} {2 * r}m0 {-2 * r}l{-2 * r} {2 * r}" ' \
               f'stroke="{colour}" stroke-width="2"/>'
    corners = {"diamond": [(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)],
               "triangle": [(0, -1.3), (1.2, 1), (-1.2, 1)]}[kind]
    points = " ".join(f"{x + dx * r:.1f},{y + dy * r:.1f}" for dx, dy in corners)
    return f'<polygon points="{points}" fill="{colour}"/>'


def text(x, y, words, anchor="start", size=12, more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" {FONT} ' \
           f'fill="#222"{more}>{escape(words)}</text>'


class Axes:
    """Where a recall and a rate stand on the page."""

    def __init__(self, curves, least_recall):
        rates = [qps for points in curves.values() for _, qps in points]
        self.lo, self.hi = least_recall, 1.0
        self.bottom = math.log10(min(rates) * 0.8)
        self.top = math.log10(max(rates) * 1.25)

    def x(self, recall):
        return LEFT + (recall - self.lo) / (self.hi - self.lo) * (WIDTH - LEFT - RIGHT)

    def y(self, qps):
        share = (math.log10(qps) - self.bottom) / (self.top - self.bottom)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def draw(self):
        """Grid, numbers and names of both axes."""
        foot, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        for step in range(round((self.hi - self.lo) * 50) + 1):
            recall = self.lo + step / 50
            x = self.x(recall)
            yield f'<path d="M{x:.1f} {TOP}V{foot}" stroke="#ddd"/>'
            yield text(x, foot + 18, f"{recall:.2f}", "middle")
        for power in range(math.floor(self.bottom), math.ceil(self.top) + 1):
            for digit in (1, 2, 5):
                qps = digit * 10.0 ** power
                if self.bottom <= math.log10(qps) <= self.top:
                    y = self.y(qps)
                    yield f'<path d="M{LEFT} {y:.1f}H{right}" stroke="#ddd"/>'
                    yield text(LEFT - 8, y + 4, f"{qps:,.0f}", "end")
        yield f'<path d="M{LEFT} {TOP}V{foot}H{right}" stroke="#444" fill="none"/>'
        yield text((LEFT + right) / 2, HEIGHT - 14, "recall@10", "middle", 13)
        yield text(18, (TOP + foot) / 2, "queries a second, one thread (log scale)", "middle", 13,
                   f' transform="rotate(-90 18 {(TOP + foot) / 2:.1f})"')


def svg(title, curves, least_recall=0.84):
    """The picture of curves = {name: [(recall, qps), ...]}; points below least_recall are left out.
    """
    curves = {name: sorted(p for p in points if p[0] >= least_recall)
              for name, points in curves.items()}
    curves = {name: points for name, points in curves.items() if points}
    axes = Axes(curves, least_recall)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
           f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
           f"<title>{escape(title)}</title>",
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
           text(LEFT, 26, title, size=15), *axes.draw()]
    for number, (name, points) in enumerate(curves.items()):
        colour, kind = COLOURS[number % len(COLOURS)], MARKS[number % len(MARKS)]
        line = " ".join(f"{axes.x(r):.1f},{axes.y(q):.1f}" for r, q in points)
        bold = 3 if name.startswith("lookalike") else 1.6
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" '
                   f'stroke-width="{bold}"/>')
        out += [mark(kind, axes.x(r), axes.y(q), colour) for r, q in points]
        y = TOP + 14 + 22 * number
        x = WIDTH - RIGHT + 18
        out += [f'<path d="M{x} {y - 4}h26" stroke="{colour}" stroke-width="{bold}"/>',
                mark(kind, x + 13, y - 4, colour), text(x + 34, y, name)]
    return "\n".join([*out, "</svg>", ""])
