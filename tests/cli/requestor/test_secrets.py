"""Passcodes and tokens are in no place where others would find them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.requestor.conftest import Command
from tests.lib.ports import free_port
from tests.pynetdicom.support import PASSCODE, Acceptor

HANG = 60.0  # seconds; a command takes well under one

TOKEN = b"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.c2VjcmV0LXNpZ25hdHVyZQ"
ASSERTION = b'<Assertion xmlns="urn:oasis:names:tc:SAML:2.0:assertion" ID="secret-51c2" Version="2.0">alice</Assertion>'

SOURCES = {
    "passcode by file": (["passcode:alice", "--passcode-file", "secret"], PASSCODE),
    "passcode by standard input": (["passcode:alice", "--passcode-file", "-"], PASSCODE),
    "passcode by variable": (["passcode:alice"], PASSCODE),
    "token": (["jwt:secret"], TOKEN),
    "assertion": (["saml:secret"], ASSERTION),
}


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[list[str], bytes, dict[str, str]]:
    """The options that say where a secret is, the secret, and the environment."""
    options, secret = SOURCES[request.param]
    (tmp_path / "secret").write_bytes(secret)
    (tmp_path / "secret").chmod(0o600)
    variable = {"USERIDENTITY_PASSCODE": secret.decode()} if request.param == "passcode by variable" else {}
    return ["--identity", *options, "--plaintext", "allow"], secret, {**os.environ, **variable}


@contextmanager
def waiting(
    script: str, options: list[str], secret: bytes, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A command that has sent a secret and waits for the answer."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        arguments = [script, "echo", "127.0.0.1", port, "--timeout", "300", "-vv", *options]
        pipe = subprocess.PIPE
        with subprocess.Popen(arguments, bufsize=0, stdin=pipe, stdout=pipe, stderr=pipe, env=environment) as process:
            try:
                assert process.stdin is not None
                process.stdin.write(secret)
                process.stdin.close()
                process.stdin = None
                silent.settimeout(HANG)
                connection, _ = silent.accept()
                with connection:
                    request = connection.recv(6, socket.MSG_WAITALL)
                    request += connection.recv(int.from_bytes(request[2:], "big"), socket.MSG_WAITALL)
                    assert secret in request
                    yield process
            finally:
                process.kill()


@pytest.mark.threat("R1")
def test_a_process_shows_nobody_its_secret(script: str, source: tuple[list[str], bytes, dict[str, str]]) -> None:
    """Neither by its command line, nor by children, nor by its most talkative log; and it leaves no core."""
    options, secret, environment = source
    with waiting(script, options, secret, environment) as process:
        told = Path(f"/proc/{process.pid}")
        assert b"--identity" in (told / "cmdline").read_bytes()
        assert secret not in (told / "cmdline").read_bytes()
        assert [each for task in (told / "task").iterdir() for each in (task / "children").read_text().split()] == []
        (core,) = [line for line in (told / "limits").read_text().splitlines() if "core file size" in line]
        assert core.split()[4] == "0"
        assert process.stderr is not None
        err = b""
        while b"A-ASSOCIATE" not in err.upper():
            err += (line := process.stderr.readline())
            assert line, err
        process.send_signal(signal.SIGINT)
        out, rest = process.communicate(timeout=HANG)
    for piece in (secret, secret.split(b".")[-1]):
        assert piece not in out + err + rest


@pytest.mark.threat("R1")
def test_a_traceback_has_no_secret() -> None:
    """Of an error that nobody foresaw, deep in a call that has the secret."""
    code = """
import sys
from useridentity.cli import main
from useridentity.pynetdicom import AE

def fail(self, *arguments, identity, **more):
    with identity.offer(None) as offer:
        raise RuntimeError("unforeseen")

AE.associate = fail
sys.argv = ["useridentity", "echo", "127.0.0.1", "104", "--identity", "passcode:alice", "--plaintext", "allow"]
main()
"""
    environment = {**os.environ, "USERIDENTITY_PASSCODE": PASSCODE.decode()}
    arguments = [sys.executable, "-c", code]
    done = subprocess.run(arguments, capture_output=True, timeout=HANG, check=False, env=environment)
    assert b"Traceback" in done.stderr
    assert PASSCODE not in done.stderr + done.stdout


IN_PLACE_OF_A_NAME = {
    "token as a file": (["--identity", f"jwt:{TOKEN.decode()}"], TOKEN, 10),
    "assertion as a file": (["--identity", f"saml:{ASSERTION.decode()}"], ASSERTION, 10),
    "token as a provider": (["--identity", f"oidc:{TOKEN.decode()}"], TOKEN, 1),
    "token as a service": (["--identity", f"kerberos:{TOKEN.decode()}"], TOKEN, 2),
    "token alone": (["--identity", TOKEN.decode()], TOKEN, 2),
    "passcode as a file": (["--identity", "passcode:alice", "--passcode-file", PASSCODE.decode()], PASSCODE, 1),
    "passcode as a name": (["--identity", f"passcode:{PASSCODE.decode()}"], PASSCODE, 1),
}


@pytest.mark.threat("R1")
@pytest.mark.parametrize(("options", "secret", "code"), IN_PLACE_OF_A_NAME.values(), ids=IN_PLACE_OF_A_NAME)
def test_a_secret_that_was_given_in_the_place_of_a_name_is_not_repeated(
    command: Command, options: list[str], secret: bytes, code: int
) -> None:
    """It is on a command line already, but need not be in the log of whoever ran it."""
    for more in ([], ["--json"], ["-vv"]):
        done = command("echo", "127.0.0.1", free_port(), *options, "--plaintext", "allow", *more)
        assert done.code == code
        assert secret.decode() not in done.out + done.err


@pytest.mark.parametrize("kind", ["jwt", "saml"])
def test_a_file_that_is_not_there_is_told_without_its_name(command: Command, tmp_path: Path, kind: str) -> None:
    (tmp_path / "secret").write_bytes(SOURCES["token" if kind == "jwt" else "assertion"][1])
    who = ("echo", "127.0.0.1", free_port(), "--plaintext", "allow", "--identity")
    assert command(*who, f"{kind}:secret").code == 4
    done = command(*who, f"{kind}:secrte")
    assert done.code == 10
    assert f"--identity {kind}:FILE names no file that is there" in done.err


def test_the_variable_is_not_handed_on(command: Command, acceptor: Acceptor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERIDENTITY_PASSCODE", PASSCODE.decode())
    who = ("--identity", "passcode:alice", "--plaintext", "allow")
    assert command("echo", "127.0.0.1", acceptor.port, *who).code == 0
    assert "USERIDENTITY_PASSCODE" not in os.environ


def test_a_passcode_that_is_too_long_is_not_cut(command: Command, acceptor: Acceptor, passcode_file: Path) -> None:
    who = ("--identity", "passcode:alice", "--plaintext", "allow", "--passcode-file", passcode_file)
    assert command("echo", "127.0.0.1", acceptor.port, *who).code == 0
    for end in (b"", b"\n", b"\r\n", b"x\n", b"x" * 5000):
        passcode_file.write_bytes(b"x" * 1024 + end)
        done = command("echo", "127.0.0.1", acceptor.port, *who)
        assert done.code == (1 if b"x" in end else 5)
        assert ("the passcode is longer than 1024 bytes" in done.err) is (b"x" in end)
