"""What the audit trail costs: records a second, milliseconds of an association, and of a search in a million."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from tests.audit.builders import NOON, opened, record
from tests.benchmarks.figure import EFFORT, Figure, compare, spread
from tests.benchmarks.processes import Server, program, run
from tests.benchmarks.raw import associate, release
from useridentity.audit.chain import Chain, make_key, read_key
from useridentity.audit.journal import Journal
from useridentity.audit.record import Kind, Outcome, Record, Requestor, Study, User
from useridentity.audit.search import Filter, newest
from useridentity.audit.segment import Entry, Segment, begin
from useridentity.audit.verify import verify

COUNT = 20_000
MILLION = 1_000_000
BATCH = 20_000
THREADS = 32
PACE = 0.01  # seconds between two associations: a hundred a second
LISTED = 50

SEARCHES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "user": {"user": "u7"},
    "AE title of all": {"ae_title": "ARCHIVE"},
    "peer": {"peer": "10.0.0.7"},
    "patient": {"patient": "P77"},
    "study": {"study": "1.2.3.4.77"},
    "outcome": {"outcome": "refused"},
    "time": {"since": NOON + timedelta(hours=1), "until": NOON + timedelta(hours=2)},
    "user and outcome": {"user": "u7", "outcome": "refused"},
    "two that are frequent and never together": {"kind": "stored", "outcome": "refused"},
    "nobody": {"user": "nobody"},
}


def measure() -> list[Figure]:
    """The journal alone, then behind an acceptor, then a million records of it."""
    return [*_journalling(), *_associations(), *_searches()]


def _journalling() -> Iterator[Figure]:
    for name, write, aim in (
        ("nobody waits", _unwaited, 5000.0),
        (f"{THREADS} threads wait for each of theirs", partial(_waited, THREADS), None),
        ("one thread waits for each", partial(_waited, 1), None),
    ):
        rates = [_rate(write) for _ in range(EFFORT.get().rounds)]
        yield Figure(f"records journalled, {name}", median(rates), None, "1/s", aim, spread=spread(rates))


def _rate(write: Any) -> float:
    """Records a second, all of them on disk."""
    with TemporaryDirectory() as folder, opened(Path(folder)) as journal:
        count = EFFORT.get().times(COUNT)
        journal.append(record(), wait=True)
        began = time.perf_counter()
        write(journal, count)
        return count / (time.perf_counter() - began)


def _unwaited(journal: Journal, count: int) -> None:
    for number in range(count):
        journal.append(record(number), wait=number % 1000 == 999)
    journal.append(record(), wait=True)


def _waited(threads: int, journal: Journal, count: int) -> None:
    def write() -> None:
        for number in range(max(1, count // threads)):
            journal.append(record(number), wait=True)

    running = [threading.Thread(target=write) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def _associations() -> Iterator[Figure]:
    """With `on_failure = "reject"`, beside the same acceptor without a trail."""
    with program("acceptor", "audited", 1) as one, program("acceptor", "ours", 1) as other:
        audited, plain = Server(one).port, Server(other).port
        for clients in (1, 4):
            yield compare(
                f"associations, {clients} at once, audited beside not audited",
                partial(run, "raw", "rate", audited, clients, EFFORT.get().seconds),
                partial(run, "raw", "rate", plain, clients, EFFORT.get().seconds),
                "1/s",
            )
        added = [_paced(audited) - _paced(plain) for _ in range(EFFORT.get().rounds)]
        name = "added to an association by the audit trail, at 100 a second"
        yield Figure(name, median(added), None, "ms", 2.0, higher_is_better=False, spread=spread(added))
    with program("acceptor", "audited", 2) as one, program("acceptor", "ours", 2) as other:
        audited, plain = Server(one).port, Server(other).port
        yield compare(
            "C-STORE of 1 KiB, audited beside not audited",
            lambda: 1000 * run("raw", "store", audited, EFFORT.get().times(COUNT // 20)),
            lambda: 1000 * run("raw", "store", plain, EFFORT.get().times(COUNT // 20)),
            "ms",
            higher_is_better=False,
        )


def _paced(port: int) -> float:
    """Median milliseconds from the connection to the A-ASSOCIATE-AC."""
    times = []
    for _ in range(max(2, round(EFFORT.get().seconds / PACE))):
        began = time.perf_counter()
        peer = associate(port)
        times.append(time.perf_counter() - began)
        release(peer)
        time.sleep(max(0.0, PACE - (time.perf_counter() - began)))
    return 1000 * median(times)


def _searches() -> Iterator[Figure]:
    count = EFFORT.get().times(MILLION)
    with TemporaryDirectory() as name:
        folder = Path(name)
        _fill(folder, count)
        for what, wanted in SEARCHES.items():
            times = [_milliseconds(folder / "audit.db", Filter(**wanted)) for _ in range(EFFORT.get().rounds)]
            yield Figure(
                f"audit list in {count:,} records, by {what}", median(times), None, "ms", 200.0,
                higher_is_better=False, spread=spread(times),
            )  # fmt: skip
        began = time.perf_counter()
        assert verify(folder / "audit.db", folder / "audit.key").is_sound
        yield Figure("audit verify", count / (time.perf_counter() - began), None, "1/s")


def _milliseconds(journal: Path, wanted: Filter) -> float:
    began = time.perf_counter()
    newest(journal, wanted, LISTED)
    return 1000 * (time.perf_counter() - began)


def _fill(folder: Path, count: int) -> None:
    """As the journal would, in larger commits."""
    make_key(folder / "audit.key")
    chain = Chain(read_key(folder / "audit.key"))
    begin(folder / "audit.db", chain, None, {})
    with closing(Segment(folder / "audit.db", chain)) as segment:
        for first in range(0, count, BATCH):
            numbers = range(first, min(count, first + BATCH))
            with segment.transaction():
                segment.append([Entry.of(_varied(number)) for number in numbers], segment.head)


def _varied(number: int) -> Record:
    """The records of 211 users on 50 workstations, about 30,000 patients."""
    kind = (Kind.ACCEPTED, Kind.STORED, Kind.QUERIED, Kind.RETRIEVED, Kind.RELEASED, Kind.REJECTED)[number % 6]
    user, subject = f"u{number % 211}", number * 7919
    touches = kind in (Kind.STORED, Kind.QUERIED, Kind.RETRIEVED)
    return record(
        kind=kind,
        outcome=Outcome.REFUSED if kind is Kind.REJECTED else Outcome.SUCCESS,
        time=NOON + timedelta(seconds=number / 10),
        association=f"{number // 5:016x}",
        user=User(5, subject=f"idp#{user}", user_id=user, display_name=f"User {user}"),
        requestor=Requestor(f"WS_{number % 50}", f"10.0.0.{number % 200}", 4000),
        studies=(Study(f"1.2.3.4.{subject % 100_003}", f"P{subject % 30_011}", "Doe^Jane"),) if touches else (),
    )
