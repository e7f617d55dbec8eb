"""Several processes on one file, and on one server."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

HANG = 30.0  # seconds; ten times what a worker needs
ROOT = Path(__file__).parent.parent.parent


class Worker:
    """A process with a store of its own."""

    def __init__(self, url: str, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.state.worker", url, str(folder)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def wait(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def present(self, key: str, times: int = 1) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{key} {times}\n")
        self._process.stdin.flush()

    def answers(self) -> Counter[str]:
        return Counter(dict(ast.literal_eval(f"[{self.wait().replace(') (', '), (')}]")))

    def end(self) -> None:
        self._process.communicate(timeout=HANG)


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Callable[[str, int], list[Worker]]]:
    """Starts so many processes on one store."""
    with ExitStack() as running:

        def start(url: str, number: int) -> list[Worker]:
            started = [Worker(url, tmp_path) for _ in range(number)]
            for worker in started:
                running.callback(worker.end)
            assert [worker.wait() for worker in started] == ["ready"] * number
            return started

        yield start


def test_what_one_process_spent_another_refuses(shared_url: str, workers: Callable[[str, int], list[Worker]]) -> None:
    one, other = workers(shared_url, 2)
    one.present("ticket")
    assert one.answers() == {"fresh": 1}
    other.present("ticket")
    assert other.answers() == {"spent": 1}
    other.present("assertion")
    assert other.answers() == {"fresh": 1}
    one.present("assertion")
    assert one.answers() == {"spent": 1}


def test_a_thousand_presentations_to_several_processes_are_fresh_exactly_once(
    shared_url: str, workers: Callable[[str, int], list[Worker]]
) -> None:
    started = workers(shared_url, 4)
    for worker in started:
        worker.present("token", 250)
    assert sum((worker.answers() for worker in started), Counter()) == {"fresh": 1, "spent": 999}


def test_processes_that_make_the_file_at_the_same_time_share_it(
    tmp_path: Path, workers: Callable[[str, int], list[Worker]]
) -> None:
    started = workers("sqlite:new.db", 4)
    for worker in started:
        worker.present("token")
    assert sum((worker.answers() for worker in started), Counter()) == {"fresh": 1, "spent": 3}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["new.db", "new.db-shm", "new.db-wal"]
