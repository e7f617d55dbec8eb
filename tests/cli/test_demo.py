"""`useridentity demo`, run as a newcomer runs it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Never

import pytest
from rich.console import Console

from tests.parts import require
from useridentity.cli.demo import acceptor, broken, peers, show
from useridentity.cli.demo.table import Row, table
from useridentity.cli.ending import Failure

COMMAND = [str(Path(sys.executable).with_name("useridentity")), "demo"]
HANG = 120.0  # seconds; it takes three

WITHOUT_EXTRAS = """\
import sys
sys.modules.update({name: None for name in ("argon2", "cryptography", "gssapi", "jwt", "signxml")})
from useridentity.cli import main
sys.argv = ["useridentity", "demo"]
main()
"""

NO, YES, MUTUAL = "rejected (1,2,1)", "accepted, confirmed", "accepted, both proved"
BOTH = "C-ECHO, C-STORE by alice"
BY_NODE = "C-ECHO, C-STORE by CT_1"
KERBEROS = ("gssapi", "krb5kdc")
NODES = ("cryptography",)
BOUND = ("cryptography", "jwt")

ROWS = [
    ("no identity", "rejected", "identity-required", NO, "nothing", ()),
    ("username alice", "accepted", "names:alice (asserted)", YES, BOTH, ()),
    ("alice, right passcode", "accepted", "staff:alice (authenticated)", YES, BOTH, ()),
    ("alice, wrong passcode", "rejected", "credential-invalid: wrong passcode", NO, "nothing", ()),
    ("mallory, unknown here", "rejected", "credential-invalid: unknown user", NO, "nothing", ()),
    ("DCMTK storescu, right passcode", "accepted", "staff:alice", YES, "C-STORE by alice", ("storescu",)),
    ("DCMTK storescu, wrong passcode", "rejected", "credential-inv", "Rejected Permanent", "nothing", ("storescu",)),
    ("Kerberos ticket", "accepted", "alice@CLINIC.TEST (authenticated)", MUTUAL, BOTH, KERBEROS),
    ("Kerberos, replayed", "rejected", "replayed", NO, "nothing", KERBEROS),
    ("Kerberos, for another service", "rejected", "credential-invalid", NO, "nothing", KERBEROS),
    ("SAML assertion", "accepted", "urn:idp#alice (authenticated)", YES, BOTH, ("signxml",)),
    ("SAML, tampered with", "rejected", "credential-invalid: SAML: signed by no key", NO, "nothing", ("signxml",)),
    ("SAML, by an unknown issuer", "rejected", "issuer-unknown: SAML", NO, "nothing", ("signxml",)),
    ("JWT", "accepted", "https://idp.test#alice (authenticated)", YES, BOTH, ("jwt",)),
    ("JWT, expired", "rejected", "credential-expired", NO, "nothing", ("jwt",)),
    ("JWT, by another key", "rejected", "credential-invalid", NO, "nothing", ("jwt",)),
    ("JWT, for another audience", "rejected", "credential-invalid", NO, "nothing", ("jwt",)),
    ("DCMTK storescu, JWT", "accepted", "https://idp.test#alice", YES, "C-STORE by alice", ("storescu", "jwt")),
    ("certificate of CT_1", "accepted", "node:CT_1 (authenticated)", "accepted", BY_NODE, NODES),
    ("certificate of CT_1, as MR_1", "rejected", "the calling AE title is 'MR_1'", NO, "nothing", NODES),
    ("TLS without certificate", "rejected", "identity-required", NO, "nothing", NODES),
    ("DCMTK storescu, certificate", "accepted", "node:CT_1", "accepted", "C-STORE by CT_1", ("storescu", *NODES)),
    ("JWT and its certificate", "accepted", "https://rooms.test#alice", YES, BOTH, BOUND),
    ("JWT, stolen by READER_2", "rejected", "bound to another TLS client certificate", NO, "nothing", BOUND),
    ("the certificate alone", "rejected", "identity-required: no user identity", NO, "nothing", BOUND),
    ("type 9, which is none", "rejected", "identity-type-not-accepted", NO, "nothing", ()),
    ("a truncated identity", "rejected", "malformed", NO, "nothing", ()),
]


def shown_by(*command: str, folder: Path) -> str:
    """What it prints on a terminal so wide that nothing is folded; it must leave nothing in `folder`."""
    environment = {**os.environ, "COLUMNS": "400", "NO_COLOR": "1", "TMPDIR": str(folder)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=HANG)
    assert done.stderr == ""
    assert not list(folder.iterdir())
    return done.stdout


def cells(shown: str) -> list[list[str]]:
    """The table's rows."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines() if "│" in line]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the demo prints."""
    return shown_by(*COMMAND, folder=tmp_path_factory.mktemp("tmp"))


@pytest.mark.parametrize(("sent", "decided", "why", "saw", "through", "needs"), ROWS)
def test_each_peer_gets_what_the_policy_says(
    shown: str, sent: str, decided: str, why: str, saw: str, through: str, needs: tuple[str, ...]
) -> None:
    for part in needs:
        require(part)
    row = next(row for row in cells(shown) if row[0] == sent)
    assert why in row.pop(2)
    assert row == [sent, decided, saw, through]


def test_there_are_no_other_rows_and_no_colour_in_a_pipe(shown: str) -> None:
    assert {row[0] for row in cells(shown)} <= {row[0] for row in ROWS}
    assert "\x1b" not in shown


def test_what_is_not_installed_is_left_out_with_a_line_that_says_how_to_get_it(tmp_path: Path) -> None:
    without = shown_by(sys.executable, "-c", WITHOUT_EXTRAS, folder=tmp_path)
    sent = [row[0] for row in cells(without)]
    assert sent == ["no identity", "username alice", "type 9, which is none", "a truncated identity"]
    extras = {
        "passcodes": "passcode",
        "Kerberos": "kerberos",
        "SAML": "saml",
        "JWT": "jwt",
        "certificates": "certificate",
    }
    for name, extra in extras.items():
        assert f"Without {name}: pip install 'useridentity[{extra}]'" in without


def test_pynetdicoms_program_of_that_name_is_not_taken_for_dcmtks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a virtual environment, where it comes first; of another's options it ends without an association."""
    require("storescu")
    installed = peers.dcmtk()
    assert installed is not None
    theirs = Path(sys.executable).with_name("storescu")
    assert theirs.exists()
    monkeypatch.setenv("PATH", str(theirs.parent))
    assert peers.dcmtk() is None
    monkeypatch.setenv("PATH", f"{theirs.parent}:{Path(installed).parent}")
    assert peers.dcmtk() == installed


@pytest.mark.parametrize("text", ["no program", "#!/no/such/interpreter\n", "#!/bin/sh\nexec sleep 600\n"])
def test_a_program_that_cannot_be_run_or_does_not_end_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    program = tmp_path / "storescu"
    program.write_text("#!/bin/sh\necho '$dcmtk'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert peers.dcmtk() == str(program)
    program.write_text(text)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(peers, "PATIENCE", 0.1)
    assert peers.dcmtk() is None


def test_a_storescu_that_does_not_end_is_a_row_like_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "storescu"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    monkeypatch.setattr(peers, "dcmtk", lambda: str(program))
    (attempt,) = peers.storescu("stuck")
    assert attempt.run(104) == "accepted"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    monkeypatch.setattr(peers, "PATIENCE", 0.1)
    assert attempt.run(104) == "nothing: it did not end"


def test_an_archive_that_does_not_answer_is_a_row_like_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broken, "PATIENCE", 0.1)
    with broken.broken(tmp_path) as part, socket.create_server(("127.0.0.1", 0)) as silent:
        assert part.attempts[-1].run(silent.getsockname()[1]) == "nothing: timed out"


def test_an_archive_that_does_not_decide_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "DECISION_TIMEOUT", 0.1)
    with pytest.raises(Failure, match="did not decide"):
        acceptor.Archive("").next_decision()


def test_a_kdc_that_is_missing_or_does_not_start_costs_the_kerberos_rows_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "pynetdicom")  # as the demo will set it; caplog sets it back

    def fail(folder: Path) -> Never:
        raise RuntimeError("the KDC did not start")

    kinds = {
        "one": show.Kind(fail),
        "two": show.Kind(fail, packages=lambda: ["krb5-kdc"]),
        "three": show.KINDS["usernames"],
    }
    monkeypatch.setattr(show, "KINDS", kinds)
    show.show()
    output = capsys.readouterr().out
    assert "Without one: the KDC did not start" in output
    assert "Without two: apt-get install krb5-kdc" in output
    assert "username alice" in output


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_it_leaves_no_process_and_no_file(tmp_path: Path, signum: signal.Signals) -> None:
    process = subprocess.Popen(
        COMMAND,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        assert process.stdout.readline().startswith("An archive listens")  # the KDC runs
        assert list(tmp_path.iterdir())
        process.send_signal(signum)
        _, errors = process.communicate(timeout=HANG)  # to the end of standard output, which the KDC has inherited
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert not list(tmp_path.iterdir())


LONG = "identity-type-not-accepted: no validator of the rule takes User-Identity-Type 9"
EXAMPLE = [
    Row("DCMTK storescu, wrong passcode", "rejected", LONG, NO, "nothing"),
    Row("Kerberos ticket", "accepted", "[bold]alice@CLINIC.TEST[/]", MUTUAL, BOTH),
]


@pytest.fixture
def drawn() -> Callable[[int], str]:
    """The example as a table for so many columns."""

    def draw(width: int) -> str:
        drawn = StringIO()
        Console(width=width, file=drawn).print(table([EXAMPLE, EXAMPLE], width))
        return drawn.getvalue()

    return draw


@pytest.mark.parametrize("width", [80, 100, 120, 129, 130, 200])
def test_no_word_is_broken_and_no_line_too_long_from_80_columns_on(drawn: Callable[[int], str], width: int) -> None:
    lines = drawn(width).splitlines()
    assert max(map(len, lines)) <= width
    assert {len(line) for line in lines} == {len(lines[0])}
    words = {word for row in EXAMPLE for text in (row.sent, row.why, row.saw, row.through) for word in text.split()}
    assert words <= {word for line in lines for word in line.split()}


def test_a_terminal_that_is_narrower_still_has_it_all_within_its_width(drawn: Callable[[int], str]) -> None:
    assert max(map(len, drawn(50).splitlines())) <= 50
