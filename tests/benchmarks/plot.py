"""Figures as bars in SVG, on a logarithmic scale: small enough to be read as text, without a library."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from math import ceil, floor, log10
from typing import NamedTuple

from tests.benchmarks.figure import Figure

LABELS, BARS, ROW, HEAD = 460, 420, 22, 70
"""Pixels: widths of the labels and of the bars, heights of a row and of the head."""

GOOD, BAD, INFORMS = "#2e7d32", "#c62828", "#78909c"
"""Reached, not reached, no aim; each is legible on white and on black."""

FASTEST, SLOWEST = 1000.0, 0.01
"""Beyond these a bar would only tell that one is longer still."""


class Bar(NamedTuple):
    """One figure; `value` is how many times better than what it is measured by, `aim` how many it should be."""

    label: str
    value: float
    aim: float | None
    colour: str
    noisy: bool


def beside_peers(figures: Sequence[Figure]) -> str:
    """How many times better than its peer each figure is."""
    bars = [_bar(each, each.ratio or 1.0, each.aim) for each in figures if each.peer is not None]
    return svg("Times better than the peer", bars)


def beside_aims(figures: Sequence[Figure]) -> str:
    """How many times better than its aim each figure is that has no peer."""
    bars = [_bar(each, each.ours / each.aim, 1.0) for each in figures if each.peer is None and each.aim]
    return svg("Times better than the aim, where there is no peer", bars)


def _bar(figure: Figure, value: float, aim: float | None) -> Bar:
    colour = {True: GOOD, False: BAD, None: INFORMS}[figure.reached]
    if not figure.higher_is_better:
        value, aim = 1 / max(value, 1e-9), None if aim is None else 1 / aim
    return Bar(figure.name, min(max(value, SLOWEST), FASTEST), aim, colour, figure.noisy)


def svg(title: str, bars: Sequence[Bar]) -> str:
    """The drawing, a line of text for each of its marks."""
    values = [each.value for each in bars] + [each.aim for each in bars if each.aim] + [1.0]
    low, high = floor(log10(min(values))), max(ceil(log10(max(values))), 1)
    width, height = LABELS + BARS + 110, HEAD + ROW * len(bars) + 12

    def x(value: float) -> float:
        return round(LABELS + BARS * (log10(value) - low) / (high - low), 1)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12" fill="#808080">',
        f'<text x="8" y="18" font-size="15">{escape(title)}</text>',
        '<text x="8" y="36">bar: measured; orange mark: aim; green: reached, red: not, grey: no aim; ~: noisy</text>',
    ]
    for power in range(low, high + 1):
        at = x(10.0**power)
        lines.append(f'<line x1="{at}" x2="{at}" y1="{HEAD - 6}" y2="{height - 8}" stroke="#bdbdbd"/>')
        lines.append(f'<text x="{at}" y="{HEAD - 9}" text-anchor="middle">{10.0**power:g}</text>')
    for index, bar in enumerate(bars):
        lines += _drawn(bar, HEAD + ROW * index, x)
    return "\n".join([*lines, "</svg>", ""])


def _drawn(bar: Bar, top: int, x: Callable[[float], float]) -> Iterator[str]:
    start, end = sorted((x(1.0), x(bar.value)))
    middle = top + ROW // 2 + 4
    yield f'<text x="{LABELS - 8}" y="{middle}" text-anchor="end">{escape(bar.label)}</text>'
    yield f'<rect x="{start}" y="{top + 3}" width="{max(end - start, 1):.1f}" height="{ROW - 7}" fill="{bar.colour}"/>'
    if bar.aim:
        at = f'x1="{x(bar.aim)}" x2="{x(bar.aim)}" y1="{top}" y2="{top + ROW - 1}"'
        yield f'<line {at} stroke="#ff9800" stroke-width="3"/>'
    yield f'<text x="{end + 6}" y="{middle}">{bar.value:.3g}{" ~" if bar.noisy else ""}</text>'
