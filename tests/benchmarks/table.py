"""Figures as a table, aligned for a terminal and for Markdown alike."""

from __future__ import annotations

from collections.abc import Iterable

from tests.benchmarks.figure import Figure

HEAD = ("figure", "unit", "useridentity", "peer", "ratio", "aim", "reached", "spread")


def table(figures: Iterable[Figure]) -> str:
    """One line per figure, its columns as wide as their widest cell."""
    rows = [HEAD, *(_row(figure) for figure in figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = "|".join(["", *("-" * (width + 1) + (":" if index > 1 else "-") for index, width in enumerate(widths)), ""])
    lines = [_line(row, widths) for row in rows]
    return "\n".join([lines[0], rule, *lines[1:]])


def _row(figure: Figure) -> tuple[str, ...]:
    reached = {None: "", True: "yes", False: "NO"}[figure.reached]
    sign = ">=" if figure.higher_is_better else "<="
    return (
        figure.name,
        figure.unit,
        _number(figure.ours),
        "" if figure.peer is None else _number(figure.peer),
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        "" if figure.aim is None else f"{sign} {figure.aim:g}",
        reached,
        f"{figure.spread:.0%}" + (" noisy" if figure.noisy else ""),
    )


def _number(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _line(cells: Iterable[str], widths: list[int]) -> str:
    padded = (
        cell.ljust(width) if index < 2 else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return f"| {' | '.join(padded)} |"
