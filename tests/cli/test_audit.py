"""The audit trail is read, filtered, followed, exported and verified at the command line."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.audit.builders import ALICE, NOON, filled, opened, record, tampering
from tests.cli.conftest import HANG, Run
from useridentity.audit.describe import about
from useridentity.audit.record import Anchor, EndedBy, Kind, Operation, Outcome, Record, Requestor, Study, Traffic, User
from useridentity.audit.search import Filter, by_number, every, newest
from useridentity.cli.audit.options import Filters

BOB = User(5, "", "idp#7", "7", "Bob", "https://idp.example.org", "authenticated", "person")
HOSTILE = 'x\x1b[31m\r\n[bold]"\u202e=1+1'
QUERY = Operation(
    "C-FIND", "1.2.840.10008.5.1.4.1.2.2.1", 1, 0, transfer_syntax="1.2.840.10008.1.2",
    identifier=bytes.fromhex("1000200004000000") + b"P77 ", matches=2,
)  # fmt: skip


def day() -> Iterator[Record]:
    """A day's records: who, from where, what."""
    yield Record(Kind.APPLICATION_STARTED, time=NOON)
    yield record(1, kind=Kind.ACCEPTED, operation=None, studies=())
    yield record(2)
    yield record(3, user=BOB, association="assoc-9", requestor=Requestor("WS_2", "192.0.2.8", 1))
    yield record(4, kind=Kind.QUERIED, operation=QUERY, user=BOB, association="assoc-9", studies=())
    yield record(
        5, kind=Kind.REJECTED, outcome=Outcome.REFUSED, user=User(2, HOSTILE), studies=(), operation=None,
        reason="credential-invalid", detail=HOSTILE,
    )  # fmt: skip
    yield record(
        6, kind=Kind.RELEASED, operation=None, studies=(), traffic=Traffic(EndedBy.REQUESTOR, 3.25, 1, 1, 2_000_000, 1)
    )


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    with opened(tmp_path) as journal:
        for each in day():
            journal.append(each, wait=True)
    return tmp_path / "audit.db"


def numbers(journal: Path, **wanted: str) -> list[int]:
    return [number for number, _ in newest(journal, Filter(**wanted), 50)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7]),
        ({"user": "alice"}, [2, 3, 7]),
        ({"user": "STAFF:Alice"}, [2, 3, 7]),
        ({"user": "alice adams"}, [2, 3, 7]),
        ({"user": "bob"}, [4, 5]),
        ({"user": "idp#7"}, [4, 5]),
        ({"user": "nobody"}, []),
        ({"ae_title": "ws_2"}, [4]),
        ({"peer": "192.0.2.8"}, [4]),
        ({"patient": "P3"}, [4]),
        ({"patient": "doe^jane"}, [3, 4]),
        ({"study": "1.2.3.2"}, [3]),
        ({"study": "A1"}, [3, 4]),
        ({"outcome": "refused"}, [6]),
        ({"kind": "queried"}, [5]),
        ({"association": "assoc-9"}, [4, 5]),
        ({"user": "bob", "patient": "P3"}, [4]),
        ({"user": "alice", "patient": "P3"}, []),
        ({"user": "bob", "kind": "queried", "outcome": "success"}, [5]),
    ],
)
def test_records_are_found_by_any_filter(journal: Path, wanted: dict[str, str], expected: list[int]) -> None:
    assert numbers(journal, **wanted) == expected
    assert [number for number, _ in every(journal, Filter(**wanted))] == expected  # type: ignore[arg-type]
    assert [n for n, each in every(journal, Filter()) if Filter(**wanted).matches(each)] == expected  # type: ignore[arg-type]


def test_records_of_a_time_are_found(journal: Path) -> None:
    records = dict(every(journal, Filter()))
    wanted = Filter(since=records[3].time, until=records[5].time)
    assert [number for number, _ in every(journal, wanted)] == [3, 4, 5]
    assert [number for number, _ in newest(journal, Filter(user="bob", until=records[4].time), 9)] == [4]


def test_records_of_full_files_are_found_too(tmp_path: Path) -> None:
    for _ in range(3):
        filled(tmp_path, 1000, rotate_bytes=100_000)
    journal = tmp_path / "audit.db"
    assert len(list(tmp_path.glob("audit-*.db"))) >= 1
    assert len(newest(journal, Filter(patient="P7"), 50)) == 3
    assert len(list(every(journal, Filter(kind="stored")))) == 3000
    assert len(newest(journal, Filter(), 2500)) == 2500
    found = by_number(journal, 2)
    assert found is not None
    assert found[0] == 2
    assert by_number(journal, 9999) is None


# The commands.


def test_a_list_is_lines_with_tabs_where_there_is_no_terminal(run: Run, journal: Path) -> None:
    done = run("audit", "list", str(journal), "--user", "bob")
    assert (done.returncode, done.stderr) == (0, "")
    first, second = (line.split("\t") for line in done.stdout.splitlines())
    assert (first[0], first[2], first[3], first[4]) == ("4", "stored", "7 (Bob)", "WS_2@192.0.2.8")
    assert "patient P3 Doe^Jane, study 1.2.3.3" in first[5]
    assert second[5] == "C-FIND 2 matches"


@pytest.mark.parametrize(
    ("status", "matches", "shown"),
    [
        (0, 0, "C-FIND 0 matches"),
        (0xFE00, 2, "C-FIND 2 matches FE00H"),
        (None, 2, "C-FIND 2 matches"),
        (None, 0, "C-FIND"),
    ],
)
def test_the_matches_of_a_query_are_shown_though_it_was_broken_off(
    status: int | None, matches: int, shown: str
) -> None:
    assert about(record(operation=replace(QUERY, status=status, matches=matches), studies=())) == shown


@pytest.mark.threat("A8")
def test_a_list_is_a_table_on_a_terminal_without_markup_or_escapes_of_a_peer(journal: Path, terminal: object) -> None:
    with terminal("audit", "list", str(journal)) as shown:  # type: ignore[operator]
        assert shown.end() == 0
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown.shown)
    assert plain.splitlines()[0].split()[-5:] == ["time", "event", "user", "from", "about"]
    assert len(plain.splitlines()) == 8
    assert "\u202e" not in plain
    assert r"\x1b[31m" in plain
    assert all(len(line) <= 200 for line in plain.splitlines())


@pytest.mark.parametrize("columns", [80, 200])
def test_a_table_fits_the_terminal(journal: Path, columns: int) -> None:
    from rich.console import Console

    from useridentity.cli.audit.output import table

    console = Console(width=columns, record=True, file=io.StringIO())
    console.print(table(list(every(journal, Filter())), columns))
    lines = console.export_text().splitlines()
    assert len(lines) == 8, "a line each, and the header"
    assert all(len(line) <= columns for line in lines)
    assert "alice" in lines[2]
    assert "C-STORE" in lines[3]


def test_json_is_the_record_with_its_number(run: Run, journal: Path) -> None:
    done = run("audit", "list", str(journal), "--json", "-n", "2")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.stdout.isascii()
    assert [each.pop("sequence") for each in found] == [6, 7]
    assert found[0]["user"]["presented"] == HOSTILE
    assert Record.from_json(json.dumps(found[1])).kind is Kind.RELEASED


def test_what_is_wrong_with_the_options_is_said_all_at_once(run: Run, journal: Path) -> None:
    wrong = ("--since", "yesterdayish", "--outcome", "sucess", "--kind", "eaten", "--peer", "192.0.2.0/24")
    done = run("audit", "list", str(journal), *wrong)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: --peer: '192.0.2.0/24' does not appear to be an IPv4 or IPv6 address",
        "error: --outcome: 'sucess' is unknown; did you mean success? (known: success, refused, failed)",
        next(line for line in done.stderr.splitlines() if line.startswith("error: --kind: 'eaten' is unknown")),
        "error: --since: 'yesterdayish' is no time; write 2026-11-22, 2026-11-22T14:30 or 2h",
    ]


@pytest.mark.parametrize("command", ["list", "follow", "export"])
def test_a_filter_for_nothing_is_not_one_for_everything(run: Run, journal: Path, command: str) -> None:
    """As where a script's variable is not set."""
    assert [n for n, _ in newest(journal, Filters(patient="P3").read(), 9)] == [4]
    done = run("audit", command, str(journal), "--patient", "", "--since", " ")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "error: --patient: is empty; leave it out for any",
        "error: --since: is empty; leave it out for any",
    ]


@pytest.mark.parametrize("limit", ["1000001", "9223372036854775808"])
def test_more_than_can_be_listed_at_once_is_said_to_be(run: Run, journal: Path, limit: str) -> None:
    assert run("audit", "list", str(journal), "-n", "1000000").returncode == 0
    done = run("audit", "list", str(journal), "-n", limit)
    assert done.returncode == 2
    assert done.stderr.startswith("error: Invalid value for '--limit' / '-n'")


@pytest.mark.parametrize("given", [("--since", "999999w"), ("--until", "9999-12-31T23:59:59-05:00")])
def test_a_time_that_is_none_of_the_calendar_is_said_in_one_line(
    run: Run, journal: Path, given: tuple[str, str]
) -> None:
    assert run("audit", "list", str(journal), "--since", "9w", "--until", "9999-12-31T23:59:59Z").returncode == 0
    done = run("audit", "list", str(journal), *given)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"error: {given[0]}: {given[1]!r} is before the year 1 or after 9999; leave it out for any time"
    ]


def test_a_day_as_the_end_is_included(run: Run, tmp_path: Path) -> None:
    day = datetime(2026, 11, 22).astimezone()
    with opened(tmp_path) as journal:
        for hours in (-1, 1, 23, 25):
            journal.append(record(time=day + timedelta(hours=hours)), wait=True)
    for given, expected in (
        (("--until", "2026-11-22"), ["1", "2", "3"]),
        (("--since", "2026-11-22"), ["2", "3", "4"]),
        (("--since", "2026-11-22", "--until", "2026-11-22"), ["2", "3"]),
        (("--until", "2026-11-22T00:00"), ["1"]),
    ):
        lines = run("audit", "list", "audit.db", *given).stdout.splitlines()
        assert [line.split("\t")[0] for line in lines] == expected


def test_an_emergency_can_be_filtered_and_is_not_cut_off(run: Run, tmp_path: Path) -> None:
    from rich.console import Console

    from useridentity.cli.audit.output import table

    accepted = record(kind=Kind.ACCEPTED, operation=None, studies=())
    with opened(tmp_path) as journal:
        journal.append(accepted, wait=True)
        journal.append(replace(accepted, event_id="b", user=replace(ALICE, emergency="reanimation")), wait=True)
    done = run("audit", "list", "audit.db", "--emergency", "--user", "alice")
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["2"]
    assert len(run("audit", "export", "audit.db").stdout.splitlines()) == 2
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table(list(every(tmp_path / "audit.db", Filter(emergency=True))), 80))
    assert "EMERGENCY: reanimation" in console.export_text()


def test_an_address_is_found_however_it_is_written(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.append(record(requestor=Requestor("WS_1", "2001:db8::1")), wait=True)
    for peer, expected in (
        ("2001:db8::1", [1]),
        ("2001:DB8:0::1", [1]),
        ("2001:db8::1%eth0", [1]),
        ("2001:db8::2", []),
        ("ws", []),
    ):
        assert numbers(tmp_path / "audit.db", peer=peer) == expected
    assert numbers(filled(tmp_path, 1), peer="::ffff:192.0.2.7") == [2]


@pytest.mark.parametrize("file", ["nowhere/audit.db", "."])
@pytest.mark.parametrize("command", ["list", "verify", "follow"])
def test_a_journal_that_is_not_there_is_said_in_one_line(run: Run, command: str, file: str) -> None:
    done = run("audit", command, file)
    assert done.returncode == 1
    assert done.stderr == f"error: {file}: there is no journal here; name its file\n"


def test_another_file_is_said_to_be_no_journal(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, but long enough to be taken for one" * 100)
    done = run("audit", "list", "notes.txt")
    assert done.returncode == 1
    assert done.stderr.startswith("error: notes.txt: is no SQLite file")


def test_a_number_that_is_none_is_said_in_one_line(run: Run, journal: Path) -> None:
    assert run("audit", "list", str(journal)).returncode == 0
    with tampering(journal) as database:
        database.execute("UPDATE seal SET sequence = 1e300")
    done = run("audit", "list", str(journal))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.endswith("see audit verify\n")


def test_everything_about_a_record_is_shown_with_what_was_asked_for(run: Run, journal: Path) -> None:
    done = run("audit", "show", str(journal), "5")
    assert done.returncode == 0
    assert "  association: assoc-9" in done.stdout.splitlines()
    assert "    subject: idp#7" in done.stdout.splitlines()
    assert "    (0010,0020) PatientID: 'P77'" in done.stdout.splitlines()


def test_all_records_of_an_association_are_shown_in_order(run: Run, journal: Path) -> None:
    done = run("audit", "show", str(journal), "assoc-9")
    assert [line for line in done.stdout.splitlines() if line.startswith("record ")] == [
        "record 4: C-STORE: 1 instance, patient P3 Doe^Jane, study 1.2.3.3",
        "record 5: C-FIND 2 matches",
    ]
    assert [json.loads(line)["sequence"] for line in run("audit", "show", str(journal), "assoc-9", "--json").stdout.splitlines()] == [4, 5]  # noqa: E501  # fmt: skip


def test_what_is_not_there_cannot_be_shown(run: Run, journal: Path) -> None:
    done = run("audit", "show", str(journal), "4711")
    assert done.returncode == 1
    assert "has no record 4711" in done.stderr


@pytest.mark.parametrize("nothing", ["", " "])
def test_nothing_is_not_everything(run: Run, journal: Path, nothing: str) -> None:
    assert run("audit", "show", str(journal), "assoc-9").returncode == 0
    done = run("audit", "show", str(journal), nothing)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: nothing is named to show")


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2\x1b"])
def test_an_identifier_that_cannot_be_read_is_said_to_be(run: Run, tmp_path: Path, syntax: str) -> None:
    broken = Operation("C-FIND", identifier=b"\x10\0\x20\0\xff\xff\xff\x7fP", transfer_syntax=syntax)
    with opened(tmp_path) as journal:
        journal.append(record(operation=broken), wait=True)
    done = run("audit", "show", "audit.db", "1")
    assert done.returncode == 0
    assert "what was asked for:" in done.stdout


@pytest.mark.threat("A8")
def test_what_was_asked_for_reaches_the_terminal_without_escapes_of_a_peer(run: Run, tmp_path: Path) -> None:
    """A UID is shown by pydicom as it was sent, a text in quotes."""
    for uid in (b"1.2.840.113619", b"1.2\x1b]0;owned\x07\x1b[2J"):
        identifier = b"\x20\0\x0d\0" + len(uid).to_bytes(4, "little") + uid
        asked = Operation("C-FIND", identifier=identifier, transfer_syntax="1.2.840.10008.1.2")
        with opened(tmp_path) as journal:
            journal.append(record(operation=asked), wait=True)
    assert "    (0020,000D) StudyInstanceUID: 1.2.840.113619" in run("audit", "show", "audit.db", "1").stdout
    shown = run("audit", "show", "audit.db", "2").stdout
    assert r"StudyInstanceUID: 1.2\x1b]0;owned\x07\x1b[2J" in shown
    assert all(line.isprintable() for line in shown.splitlines())


def test_csv_has_a_line_for_every_study_and_no_formula(run: Run, journal: Path) -> None:
    done = run("audit", "export", str(journal), "--format", "csv")
    lines = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [line["number"] for line in lines] == ["1", "2", "3", "4", "5", "6", "7"]
    assert lines[2]["study_instance_uid"] == "1.2.3.2"
    assert not [cell for line in lines for cell in line.values() if cell[:1] in set("=+-@\t\r\n")]
    assert not [cell for line in lines for cell in line.values() if not cell.isprintable()]


@pytest.mark.parametrize(
    "value", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r=1", "\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20A"]
)
@pytest.mark.threat("A8")
def test_a_cell_that_a_spreadsheet_would_compute_is_text(value: str) -> None:
    from useridentity.cli.audit.output import write_csv

    for text, begins in ((value, ("'", "\\")), ("alice", "a")):
        written = io.StringIO()
        write_csv([(1, record(user=User(presented=text)))], written)
        assert next(csv.DictReader(io.StringIO(written.getvalue())))["presented"].startswith(begins)


@pytest.mark.threat("A8")
def test_a_cell_is_text_too_where_semicolons_part_cells() -> None:
    from useridentity.cli.audit.output import write_csv

    for text, expected in (
        ("P1;x=1", "P1;x=1"),
        ("P1;=cmd|calc;\uff1d1", "P1;'=cmd|calc;'\uff1d1"),
        ("P1; @A", "P1;' @A"),
    ):
        written = io.StringIO()
        write_csv([(1, record(user=User(presented=text)))], written)
        assert next(csv.DictReader(io.StringIO(written.getvalue())))["presented"] == expected


@pytest.mark.parametrize("command", [["list"], ["export", "--format", "csv"], ["show", "1"]])
def test_names_are_escaped_where_the_output_is_ascii(script: str, tmp_path: Path, command: list[str]) -> None:
    with opened(tmp_path) as journal:
        journal.append(record(studies=(Study("1.2", "P1", "Müller^Änne"),)), wait=True)
    for encoding, name in (("utf-8", "Müller^Änne".encode()), ("ascii", rb"M\xfcller^\xc4nne")):
        done = subprocess.run(
            [script, "audit", command[0], str(tmp_path / "audit.db"), *command[1:]],
            capture_output=True, timeout=HANG, check=False, env={**os.environ, "PYTHONIOENCODING": encoding},
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, b"")
        assert name in done.stdout


def test_an_export_can_be_filtered(run: Run, journal: Path) -> None:
    done = run("audit", "export", str(journal), "--patient", "P3")
    assert [json.loads(line)["sequence"] for line in done.stdout.splitlines()] == [4]
    assert run("audit", "export", str(journal), "--format", "xml").returncode == 1


def test_a_reader_that_has_enough_is_no_error(script: str, journal: Path) -> None:
    """As in `useridentity audit export FILE | head -1`."""
    filled(journal.parent, 3000)
    with subprocess.Popen([script, "audit", "export", str(journal)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(HANG) in (0, 141)


def test_new_records_are_shown_as_they_are_written(script: str, journal: Path) -> None:
    follower = subprocess.Popen(
        [script, "audit", "follow", str(journal), "--user", "bob"], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert follower.stdout is not None
        assert [follower.stdout.readline().split("\t")[0] for _ in range(2)] == ["4", "5"]
        with opened(journal.parent) as writer:
            writer.append(record(8), wait=True)
            writer.append(record(9, user=BOB), wait=True)
            assert follower.stdout.readline().split("\t")[0] == "9"
    finally:
        follower.terminate()
        follower.communicate(timeout=HANG)


# Verification.


def test_a_sound_journal_is_said_to_be_and_what_is_not_anchored(run: Run, journal: Path) -> None:
    done = run("audit", "verify", str(journal))
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "sound: records 1 to 7, 7 in all"
    assert done.stdout.splitlines()[1].startswith("not anchored: no sink has taken an anchor yet")


def test_what_rests_on_the_journals_own_cursors_is_said_to() -> None:
    from useridentity.audit.verify import Report
    from useridentity.cli.audit.verdict import sentences

    report = Report(journal="a", records=7, first=1, last=7, anchored=5)
    assert "claimed by the unsealed journal itself" in list(sentences(report, by_sink=False))[1]
    assert "unsealed" not in list(sentences(report, by_sink=True))[1]


def test_what_was_done_to_a_journal_is_said_record_by_record(run: Run, journal: Path) -> None:
    with tampering(journal) as database:
        database.execute("UPDATE record SET body = replace(body, 'idp#7', 'idp#8') WHERE sequence = 4")
        database.execute("DELETE FROM record WHERE sequence = 6")
    done = run("audit", "verify", str(journal))
    assert done.returncode == 12
    assert done.stdout.splitlines()[:3] == [
        "audit.db: record 4: altered",
        "audit.db: record 6: removed",
        "NOT SOUND: 2 findings in 6 records",
    ]


@pytest.mark.threat("A3")
def test_a_journal_that_was_cut_off_is_found_by_what_a_sink_has_kept(run: Run, journal: Path, tmp_path: Path) -> None:
    with tampering(journal) as database:
        mac, name = database.execute("SELECT r.mac, s.journal FROM record r, seal s WHERE r.sequence = 7").fetchone()
    anchor = Record(Kind.ANCHOR, anchor=Anchor(name, 7, mac.hex()))
    (tmp_path / "sink.jsonl").write_text(f"noise\n<85>1 {anchor.to_json()}\n")
    done = run("audit", "verify", str(journal), "--anchors", "sink.jsonl")
    assert done.returncode == 0
    assert "anchored up to record 7, these anchors say; the last 0 could be cut off unseen" in done.stdout
    (tmp_path / "late.jsonl").write_text(Record(Kind.ANCHOR, anchor=Anchor(name, 9, mac.hex())).to_json())
    done = run("audit", "verify", str(journal), "--anchors", "late.jsonl")
    assert done.returncode == 12
    assert "records 8 to 9: cut off: a sink has the anchor of a later record" in done.stdout


def test_a_file_without_anchors_is_not_taken_for_one_that_vouches(run: Run, journal: Path, tmp_path: Path) -> None:
    lines = ['{"anchor":{"journal":7}}', '{"anchor":{"journal":"x","sequence":Infinity,"head":"y"}}']
    (tmp_path / "empty.jsonl").write_text("\n".join([*lines, '"anchor":' + "[" * 100_000, '{"anchor":']))
    done = run("audit", "verify", str(journal), "--anchors", "empty.jsonl")
    assert done.returncode == 1
    assert "has no anchors" in done.stderr


def test_without_its_key_nothing_is_verified_but_everything_can_be_read(run: Run, journal: Path) -> None:
    journal.with_suffix(".key").unlink()
    assert run("audit", "verify", str(journal)).returncode == 1
    assert run("audit", "list", str(journal)).returncode == 0
