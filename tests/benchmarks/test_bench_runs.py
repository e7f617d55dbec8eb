"""Every benchmark runs, and the table says of its figures what they mean."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.benchmarks.__main__ import HERE, Run, names, report, summary, write
from tests.benchmarks.figure import EFFORT, Effort, Figure, compare
from tests.benchmarks.plot import beside_aims, beside_peers
from tests.benchmarks.table import table

HANG = 300.0  # seconds; beside other tests a quick benchmark takes up to thirty


@pytest.fixture
def three_rounds() -> Iterator[None]:
    """Three turns of whatever is compared."""
    token = EFFORT.set(Effort(rounds=3))
    yield
    EFFORT.reset(token)


@pytest.mark.parametrize("name", names())
def test_a_benchmark_runs_and_prints_its_figures(name: str) -> None:
    command = [sys.executable, "-m", "tests.benchmarks", "--quick", "--only", name]
    done = subprocess.run(command, cwd=HERE.parent.parent, capture_output=True, text=True, timeout=HANG, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 2, done.stderr


@pytest.mark.usefixtures("three_rounds")
def test_ours_and_the_peer_are_measured_in_turn() -> None:
    order = []

    def measure(who: str, value: float) -> float:
        order.append(who)
        return value

    figure = compare("work", lambda: measure("ours", 6.0), lambda: measure("peer", 3.0), "1/s")
    assert order == ["peer", "ours", "ours", "peer", "peer", "ours"]
    assert (figure.ours, figure.peer, figure.ratio, figure.spread) == (6.0, 3.0, 2.0, 0.0)


@pytest.mark.usefixtures("three_rounds")
def test_a_peer_that_fails_is_measured_again_and_said_to_have_failed(capsys: pytest.CaptureFixture[str]) -> None:
    turns = iter(range(4))

    def peer() -> float:
        if next(turns) == 0:
            raise RuntimeError("lost a response")
        return 2.0

    assert compare("work", lambda: 1.0, peer, "1/s").ratio == 0.5
    assert "lost a response" in capsys.readouterr().err


@pytest.mark.usefixtures("three_rounds")
def test_our_own_failure_is_not_overlooked() -> None:
    def fail() -> float:
        raise RuntimeError("lost a response")

    with pytest.raises(RuntimeError, match="lost a response"):
        compare("work", fail, lambda: 1.0, "1/s")


@pytest.mark.usefixtures("three_rounds")
def test_rounds_that_differ_make_a_figure_noisy() -> None:
    values = iter([1.0, 2.0, 3.0])
    figure = compare("work", lambda: next(values), lambda: 1.0, "ms")
    assert figure.spread == pytest.approx(1.0)
    assert figure.noisy


@pytest.mark.parametrize(
    ("figure", "reached"),
    [
        (Figure("rate", 15, 10, "1/s", aim=1.5), True),
        (Figure("rate", 14, 10, "1/s", aim=1.5), False),
        (Figure("latency", 5, 10, "ms", aim=0.5, higher_is_better=False), True),
        (Figure("latency", 6, 10, "ms", aim=0.5, higher_is_better=False), False),
        (Figure("without a peer", 14, None, "1/s", aim=10), True),
        (Figure("without an aim", 14, 10, "1/s"), None),
    ],
)
def test_an_aim_is_a_bound_of_the_ratio_or_of_a_figure_without_peer(figure: Figure, reached: bool | None) -> None:
    assert figure.reached is reached


def test_a_table_is_aligned_and_names_aim_and_noise() -> None:
    lines = table(
        [Figure("a rate", 1234.5, 12.34, "1/s", 1.5, spread=0.9), Figure("alone", 1, None, "ms")]
    ).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == [
        "a rate", "1/s", "1234", "12.3", "100.04", ">= 1.5", "yes", "90% noisy",
    ]  # fmt: skip


@pytest.mark.parametrize("draw", [beside_peers, beside_aims])
def test_a_plot_is_an_image_with_a_bar_for_each_figure(draw: Callable[..., str]) -> None:
    drawn = ElementTree.fromstring(
        draw(
            [
                Figure("<fast>", 20, 10, "1/s", aim=1.5),
                Figure("slow", 20, 10, "ms", aim=0.5, higher_is_better=False, spread=1.0),
                Figure("alone", 0.0, None, "ms", aim=5, higher_is_better=False),
                Figure("alone and high", 1e9, None, "1/s", aim=5),
            ]
        )
    )
    texts = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert len(list(drawn.iter("{http://www.w3.org/2000/svg}rect"))) == 2
    if draw is beside_peers:
        assert {"<fast>", "2", "slow", "0.5 ~"} <= set(texts)
    else:
        assert {"alone", "1e+03", "alone and high"} <= set(texts)


def test_a_noisy_run_says_so_in_its_head() -> None:
    quiet, noisy = Figure("quiet", 2, 1, "1/s", aim=1.5), Figure("noisy", 2, 1, "1/s", aim=3, spread=0.9)
    assert summary([quiet]) == "Aims reached: 1 of 1. Noisy: 0 of 1 figures"
    assert summary([quiet, noisy]).startswith("Aims reached: 1 of 2. Noisy: 1 of 2 figures; this was a noisy machine")


def test_sizes_and_rounds_can_be_scaled() -> None:
    command = [sys.executable, "-m", "tests.benchmarks", "--only", "echo", "--share", "0.02", "--rounds", "1"]
    done = subprocess.run(command, cwd=HERE.parent.parent, capture_output=True, text=True, timeout=HANG, check=False)
    assert done.returncode == 0, done.stderr
    assert "Noisy: 0 of 2 figures" in done.stdout


def test_a_benchmark_that_fails_costs_its_own_figures_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing part is no failure of the run, a crash is; both are in the head."""

    def crash() -> list[Figure]:
        raise OSError("no disk")

    monkeypatch.setattr("tests.benchmarks.bench_echo.measure", crash)
    run = Run([Figure("kept", 2, 1, "1/s")])
    run.measure("there_is_none")
    assert run.failed is False
    run.measure("echo")
    assert run.failed is True
    assert [figure.name for figure in run.figures] == ["kept"]
    assert any(line.startswith("Not measured: there_is_none: No module") for line in run.facts())
    assert "Not measured: echo: failed: OSError" in run.facts()


def test_a_report_is_written_with_its_plots(tmp_path: Path) -> None:
    write(tmp_path, ["Machine: one"], [Figure("a rate", 2, 1, "1/s", aim=1), Figure("alone", 2, None, "1/s", aim=1)])
    document = (tmp_path / "benchmarks.md").read_text()
    for shown in re.findall(r"\((.*\.svg)\)", document):
        ElementTree.parse(tmp_path / shown)
    assert document.count(".svg") == 2


def test_a_report_has_machine_and_versions_in_its_head() -> None:
    document = report(["Machine: one", "Versions: two"], [Figure("a rate", 2, 1, "1/s")])
    assert document.index("Machine: one") < document.index("Versions: two") < document.index("a rate")
