"""The commands as processes: Ctrl-C, secrets, terminals, completion."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from tests.cli.conftest import Terminal
from tests.lib.ports import free_port
from tests.pynetdicom.support import PASSCODE, Acceptor, serving, until
from useridentity import Policy, Username
from useridentity.pynetdicom import AE, identity_of

RunOnTerminal = Callable[..., AbstractContextManager[Terminal]]
HANG = 300.0  # seconds; one that receives and reloads takes a few, on a busy machine ten times that


@contextmanager
def running(script: str, *arguments: object, **environment: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [script, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=HANG)


@contextmanager
def storing(script: str, *files: Path) -> Iterator[tuple[subprocess.Popen[str], Acceptor, threading.Event]]:
    """A `store` that has been told to end while its acceptor answers only once the event is set."""
    arrived, go_on = threading.Event(), threading.Event()

    def slow(event: Any) -> int:
        arrived.set()
        go_on.wait(HANG)
        return 0

    with (
        serving(Policy.unguarded(), handlers=[(evt.EVT_C_STORE, slow)]) as scp,
        running(script, "store", "127.0.0.1", scp.port, *files) as process,
    ):
        assert arrived.wait(HANG)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.readline() == "ending; Ctrl-C again aborts the association\n"
        yield process, scp, go_on


def test_control_c_while_storing_ends_after_the_object_and_releases(script: str, ct_path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "second.dcm"
    copy.write_bytes(ct_path.read_bytes())
    with storing(script, ct_path, copy) as (process, scp, go_on):
        go_on.set()
        out, err = process.communicate(timeout=HANG)
        assert process.returncode == 130
        assert "stored 1 file" in out
        assert err == "error: interrupted\n"
        until(lambda: "EVT_CONN_CLOSE" in scp.events)
        assert "EVT_RELEASED" in scp.events
        assert "EVT_ABORTED" not in scp.events


def test_a_second_control_c_aborts(script: str, ct_path: Path) -> None:
    with storing(script, ct_path) as (process, scp, go_on):
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=HANG)
        go_on.set()
        assert (process.returncode, err) == (130, "error: interrupted\n")
        until(lambda: "EVT_ABORTED" in scp.events)


@contextmanager
def querying(*command: str) -> Iterator[tuple[subprocess.Popen[str], Acceptor, threading.Event]]:
    """A `find` that shows matches without end, its acceptor, and what is set once it was cancelled."""
    cancelled = threading.Event()

    def endless(event: Any) -> Iterator[Any]:
        match = Dataset()
        match.PatientID = "1"
        while not event.is_cancelled:
            yield 0xFF00, match
        cancelled.set()
        yield 0xFE00, None

    contexts = [build_context(StudyRootQueryRetrieveInformationModelFind)]
    with (
        serving(Policy.unguarded(), handlers=[(evt.EVT_C_FIND, endless)], contexts=contexts) as scp,
        running(*command, "find", "127.0.0.1", scp.port, "--columns", "PatientID") as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        yield process, scp, cancelled


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_it_cancels_a_query_and_releases(script: str, signum: signal.Signals) -> None:
    with querying(script) as (process, scp, cancelled):
        process.send_signal(signum)
        _, err = process.communicate(timeout=HANG)
        assert process.returncode == 130
        assert "Traceback" not in err
        assert cancelled.wait(HANG)
        until(lambda: "EVT_RELEASED" in scp.events)


def test_a_signal_that_is_to_be_ignored_stays_so(script: str) -> None:
    """As after `nohup`, so that a terminal that is closed ends nothing."""
    with querying("sh", "-c", 'trap "" HUP; exec "$0" "$@"', script) as (process, _, _):
        status = Path(f"/proc/{process.pid}/status").read_text()
        masks = dict(re.findall(r"^(Sig\w+):\s*([0-9a-f]+)$", status, re.MULTILINE))
        assert int(masks["SigIgn"], 16) & 1 << (signal.SIGHUP - 1)
        assert int(masks["SigCgt"], 16) & 1 << (signal.SIGTERM - 1)


def test_control_c_before_the_association_leaves_at_once(script: str) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        with running(script, "echo", "127.0.0.1", silent.getsockname()[1], "--timeout", "300") as process:
            connection, _ = silent.accept()
            with connection:
                connection.recv(1)
                process.send_signal(signal.SIGINT)
                _, err = process.communicate(timeout=HANG)
        assert (process.returncode, err) == (130, "error: interrupted\n")


def test_a_receiver_reads_its_policy_again_on_a_signal(script: str, tmp_path: Path) -> None:
    """While the acceptor that was asked to move is at it; whoever may store is asked for anew from then on."""
    path = tmp_path / "identity.toml"
    text = 'version = 1\n[validator.names]\ntype = "username"\n[[authenticate]]\naccept = ["names"]\n'
    path.write_text(text)
    workstation, told = free_port(), threading.Event()

    def may_store() -> bool:
        assoc = AE("ARCHIVE").associate(
            "127.0.0.1", workstation, [build_context(CTImageStorage)], identity=Username("archive")
        )
        established = assoc.is_established
        assoc.release()
        return established

    def reload(policy: str) -> None:
        path.write_text(policy)
        process.send_signal(signal.SIGHUP)
        assert any("reloaded; " in line for line in process.stderr)

    def on_move(event: Any) -> Iterator[Any]:
        assert may_store()
        reload(text.replace("[[authenticate]]", '[[authenticate]]\nwhen = { network = ["192.0.2.0/24"] }'))
        assert not may_store()
        reload(text)
        assert may_store()
        told.set()
        yield None, None

    contexts = [build_context(StudyRootQueryRetrieveInformationModelMove)]
    with (
        serving(Policy.unguarded(), handlers=[(evt.EVT_C_MOVE, on_move)], contexts=contexts) as scp,
        running(
            script, "move", "127.0.0.1", scp.port, "-k", "StudyInstanceUID=1.2", "--receive", workstation,
            "--policy", path, "--output", tmp_path / "here", "--timeout", "300", "-v",
        ) as process,
    ):  # fmt: skip
        assert told.wait(HANG)
        assert process.wait(HANG) == 8


def test_a_passcode_is_asked_for_and_not_shown(terminal: RunOnTerminal, acceptor: Acceptor) -> None:
    who = ("--identity", "passcode:alice", "--plaintext", "allow")
    with terminal("echo", "127.0.0.1", str(acceptor.port), *who) as person:
        person.type("Passcode for alice: ", PASSCODE.decode())
        assert person.end() == 0
    assert PASSCODE.decode() not in person.shown
    assert [identity_of(event).subject for event in acceptor.served] == ["passcode:alice"]


@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_giving_up_at_the_prompt_sends_nothing(terminal: RunOnTerminal, acceptor: Acceptor, key: str) -> None:
    who = ("--identity", "passcode:alice", "--plaintext", "allow")
    with terminal("echo", "127.0.0.1", str(acceptor.port), *who) as person:
        person.type("Passcode for alice: ", key)
        assert person.end() != 0
    assert "Traceback" not in person.shown
    assert acceptor.served == []


def test_what_is_no_text_is_no_passcode(terminal: RunOnTerminal, acceptor: Acceptor) -> None:
    who = ("--identity", "passcode:alice", "--plaintext", "allow")
    with terminal("echo", "127.0.0.1", str(acceptor.port), *who) as person:
        person.type("Passcode for alice: ", "not \udcff")
        assert person.end() == 1
    assert "what was typed is not text" in person.shown
    assert "Traceback" not in person.shown
    assert acceptor.served == []


@pytest.mark.parametrize("columns", [80, 200])
def test_a_table_fits_the_terminal(script: str, tmp_path: Path, columns: int) -> None:
    """As a table where there is room, as blocks where there is not; values stay whole, to be copied."""
    match = Dataset()
    match.PatientID, match.PatientName, match.StudyInstanceUID = "17", "LONG^NAME" * 3, "1.2." + "3" * 60

    def answer(event: Any) -> Iterator[Any]:
        yield 0xFF00, match

    contexts = [build_context(StudyRootQueryRetrieveInformationModelFind)]
    with serving(Policy.unguarded(), handlers=[(evt.EVT_C_FIND, answer)], contexts=contexts) as scp:
        shown = on_terminal(columns, script, "find", "127.0.0.1", str(scp.port))
    lines = shown.splitlines()
    assert "1.2." + "3" * 60 in shown
    assert "1 match" in shown
    heads = [line for line in lines if "PatientID" in line]
    assert ("StudyInstanceUID" in heads[0]) is (columns == 200)


def on_terminal(columns: int, *command: str) -> str:
    """What a command shows on a terminal of this width, without its colours."""
    import fcntl
    import pty
    import re
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR")}
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env={**environment, "TERM": "xterm"}
    )
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # EIO: the other end is gone
        pass
    finally:
        process.wait(HANG)
        os.close(ours)
    # What the progress bar drew and took away again ends with an erased line.
    text = re.sub(r"\x1b\[2K|\x1b\[\?25[lh]|\x1b\[1A|\x1b\[[0-9;]*m", "", shown.decode())
    return "\n".join(line.rpartition("\r")[2] for line in text.replace("\r\n", "\n").split("\n"))


def test_the_shell_completes_commands_and_options(script: str) -> None:
    def completed(*words: str) -> list[str]:
        environment = {
            **os.environ,
            "_USERIDENTITY_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(["useridentity", *words]),
            "COMP_CWORD": str(len(words)),
        }
        return subprocess.run(
            [script], env=environment, capture_output=True, text=True, timeout=HANG, check=True
        ).stdout.split()

    assert completed("ech") == ["echo"]
    assert "--identity" in completed("echo", "--id")
    assert completed("echo", "--identity", "kerb") == ["kerberos:"]
