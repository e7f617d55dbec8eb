"""What scripts get of every kind of failure: one object, the exit code, and the words people get beside it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]

from tests.cli.conftest import Run
from tests.cli.requestor.conftest import Command, Done
from tests.cli.requestor.test_retrieve import finder, hostile_archive
from tests.lib.ports import free_port
from tests.pynetdicom.support import Acceptor, serving, until
from useridentity import Policy
from useridentity.cli.ending import Exit

HANG = 60.0  # seconds; a command takes well under one

Make = Callable[[], Done]


def failed(done: Done, code: Exit) -> Any:
    """The object on the last line of standard output, which says what the exit code and standard error say."""
    told = json.loads(done.out.splitlines()[-1])
    assert done.code == code
    assert (told["outcome"], told["exit_code"]) == (code.word, code)
    assert told["message"].splitlines()[0] in done.err
    assert told["advice"] in " ".join(done.err.split())
    assert "Traceback" not in done.err
    return told


def test_success_says_so_too(command: Command, acceptor: Acceptor) -> None:
    done = command("echo", "127.0.0.1", acceptor.port, "--identity", "username:alice", "--json")
    assert (done.code, done.json["exit_code"], done.err) == (0, 0, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("echo", "pacs"), "there is no [peer.pacs]"),
        (("store", "127.0.0.1", "104", "--ca", "missing.pem"), "missing.pem"),
        (("policy", "check", "missing.toml"), "missing.toml"),
    ],
)
def test_what_cannot_be_used(command: Command, arguments: tuple[str, ...], said: str) -> None:
    assert said in failed(command(*arguments, "--json"), Exit.UNUSABLE)["message"]


@pytest.mark.parametrize("name", ["echo", "find", "store", "get", "move"])
@pytest.mark.parametrize(
    "wrong", [(), ("--calld", "X"), ("127.0.0.1", "104", "--timeout", "soon"), ("a", "99999"), ("a", "9" * 5000)]
)
def test_a_wrong_command_line(command: Command, name: str, wrong: tuple[str, ...]) -> None:
    told = failed(command(name, *wrong, "--json"), Exit.USAGE)
    assert f"`useridentity {name} --help`" in told["advice"]


def test_an_unknown_command(command: Command) -> None:
    failed(command("ecko", "--json"), Exit.USAGE)


def test_every_problem_of_the_command_line_is_in_the_message(command: Command, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(
        'version = 1\n\n[validator.names]\ntype = "username"\n\n[[authenticate]]\naccept = ["names"]\n'
    )
    who = ("policy", "explain", "p.toml", "--peer", "10.0.0.1")
    told = failed(command(*who, "--called", "A", "--calling", "", "--kind", "", "--json"), Exit.USAGE)
    assert len(told["message"].splitlines()) == 2


def test_an_extra_that_is_not_installed() -> None:
    code = """
import sys
sys.modules["gssapi"] = None
from useridentity.cli import main
sys.argv = ["useridentity", "echo", "127.0.0.1", "104", "--identity", "kerberos:dicom@pacs.test", "--json"]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=HANG, check=False)
    told = failed(Done(done.returncode, done.stdout, done.stderr), Exit.NOT_INSTALLED)
    assert "pip install 'useridentity[kerberos]'" in told["message"]


@pytest.mark.parametrize("name", ["echo", "find", "get", "move"])
def test_unreachable_and_rejected(command: Command, acceptor: Acceptor, name: str) -> None:
    keys = () if name == "echo" else ("-k", "StudyInstanceUID=1.2")
    more = ("--to", "WS_2") if name == "move" else ()
    failed(command(name, "127.0.0.1", free_port(), *keys, *more, "--json"), Exit.UNREACHABLE)
    told = failed(command(name, "127.0.0.1", acceptor.port, *keys, *more, "--json"), Exit.REJECTED)
    assert "(1,2,1)" in told["message"]


def test_unreachable_and_rejected_while_storing(command: Command, acceptor: Acceptor, ct_path: Path) -> None:
    failed(command("store", "127.0.0.1", free_port(), ct_path, "--json"), Exit.UNREACHABLE)
    told = failed(command("store", "127.0.0.1", acceptor.port, ct_path, "--json"), Exit.REJECTED)
    assert (told["stored"], told["not_stored"]) == (0, 1)


def test_not_confirmed(command: Command, stock_scp: Any) -> None:
    failed(command("echo", "127.0.0.1", stock_scp().port, "--identity", "username:alice", "--json"), Exit.NOT_CONFIRMED)


def test_not_sent(command: Command, acceptor: Acceptor, passcode_file: Path) -> None:
    who = ("--identity", "passcode:alice", "--passcode-file", passcode_file, "--json")
    failed(command("echo", "127.0.0.1", acceptor.port, *who), Exit.NOT_SENT)


def test_an_acceptor_that_aborts_a_query_has_had_its_matches_shown(command: Command) -> None:
    match = Dataset()
    match.PatientID = "17"

    def on_find(event: Any) -> Iterator[Any]:
        yield 0xFF00, match
        event.assoc.abort()

    contexts = [build_context(StudyRootQueryRetrieveInformationModelFind)]
    with serving(Policy.unguarded(), handlers=[(evt.EVT_C_FIND, on_find)], contexts=contexts) as scp:
        done = command("find", "127.0.0.1", scp.port, "--json")
    assert json.loads(done.out.splitlines()[0]) == {"PatientID": "17"}
    assert failed(done, Exit.ABORTED)["matches"] == 1


def test_a_query_that_is_refused(command: Command) -> None:
    with finder((0xA700, None)) as scp:
        failed(command("find", "127.0.0.1", scp.port, "--json"), Exit.REFUSED)


@pytest.mark.parametrize("status", [0xA700, 0xC001, 0xFE00])
def test_a_query_that_ends_early(command: Command, status: int) -> None:
    """Without Ctrl-C nothing is cancelled in order."""
    match = Dataset()
    match.PatientID = "17"
    with finder((0xFF00, match)) as scp:
        assert command("find", "127.0.0.1", scp.port, "--json").code == 0
    with finder((0xFF00, match), (status, None)) as scp:
        told = failed(command("find", "127.0.0.1", scp.port, "--json"), Exit.PARTIAL)
    assert told["matches"] == 1
    with finder((status, None)) as scp:
        failed(command("find", "127.0.0.1", scp.port, "--json"), Exit.REFUSED)


def test_a_retrieval_of_which_some_fails_says_what_came(command: Command, tmp_path: Path) -> None:
    (tmp_path / "1.2.4.dcm").write_text("precious")
    peer = ("-k", "StudyInstanceUID=1.2", "--sop-class", "CTImageStorage", "--json")
    with hostile_archive("1.2.3", "1.2.4") as scp:
        told = failed(command("get", "127.0.0.1", scp.port, *peer), Exit.PARTIAL)
    assert told["files"] == ["1.2.3.dcm"]
    assert "1.2.4.dcm exists" in told["problems"][0]


def test_files_of_which_some_cannot_be_stored(command: Command, acceptor: Acceptor, ct_path: Path) -> None:
    peer = ("store", "127.0.0.1", acceptor.port, "--identity", "username:alice", "missing", "--json")
    told = failed(command(*peer, ct_path), Exit.PARTIAL)
    assert (told["stored"], told["failures"]) == (1, [{"file": "missing", "why": "does not exist"}])
    assert failed(command(*peer), Exit.REFUSED)["message"] == "1 of 1 file not stored"


def test_control_c(script: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        arguments = [script, "echo", "127.0.0.1", str(silent.getsockname()[1]), "--timeout", "300", "--json"]
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        connection, _ = silent.accept()
        with connection:
            connection.recv(1)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=HANG)
    failed(Done(process.returncode, out, err), Exit.INTERRUPTED)


def test_nothing_given_at_a_prompt_is_no_traceback(run: Run) -> None:
    done = run("echo", "127.0.0.1", "104", "--identity", "passcode:alice", "--json")
    failed(Done(done.returncode, done.stdout, done.stderr), Exit.UNUSABLE)


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_a_reader_that_has_enough_ends_a_query_quietly(script: str, as_json: tuple[str, ...]) -> None:
    """As in `useridentity find pacs | head -1`."""
    match = Dataset()
    match.PatientID = "17"

    def endless(event: Any) -> Iterator[Any]:
        while not event.assoc.is_aborted:
            yield 0xFF00, match

    contexts = [build_context(StudyRootQueryRetrieveInformationModelFind)]
    with serving(Policy.unguarded(), handlers=[(evt.EVT_C_FIND, endless)], contexts=contexts) as scp:
        arguments = [script, "find", "127.0.0.1", str(scp.port), "--columns", "PatientID", *as_json]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert b"17" in process.stdout.readline()
            process.stdout.close()
            assert (process.wait(HANG), process.stderr.read()) == (Exit.UNREAD, b"")
        until(lambda: "EVT_ABORTED" in scp.events)


@pytest.mark.parametrize("closed", ["", "<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_streams_that_are_closed_or_full_make_no_difference(script: str, acceptor: Acceptor, closed: str) -> None:
    """As by a program that starts others carelessly, or a log whose disk is full."""
    shell = ["sh", "-c", f'exec "$0" "$@" {closed}', script, "echo", "127.0.0.1", str(acceptor.port), "--identity"]
    for who, code in (("username:alice", Exit.DONE), ("passcode:alice", Exit.UNUSABLE), ("jwt:none", Exit.NOT_SENT)):
        done = subprocess.run([*shell, who], stdin=subprocess.DEVNULL, capture_output=True, timeout=HANG, check=False)
        assert done.returncode == code
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [("policy", "schema"), ("echo", "--help"), ("echo", "nobody", "--json")])
def test_an_output_that_nobody_reads_from_the_start_is_no_traceback(script: str, arguments: tuple[str, ...]) -> None:
    theirs, ours = os.pipe()
    os.close(theirs)
    done = subprocess.run([script, *arguments], stdout=ours, stderr=subprocess.PIPE, timeout=HANG, check=False)
    os.close(ours)
    assert done.returncode == Exit.UNREAD
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr
