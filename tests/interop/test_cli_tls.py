"""Every command over mutual TLS against the acceptors people have: DCMTK's, Orthanc, dcmjs-dimse, stock's.

dcmqrscp 3.6.7 has no TLS: a tunnel that ends TLS stands before it, so what is shown there is our side and no more.
None of them looks at identities, so that each type of identity passes, right and wrong, and none is confirmed.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from tests.cli.requestor.conftest import Command, _own_configuration, command
from tests.interop.test_dcmtk import wait_for
from tests.lib.archive import Archive, archive, dcmjs, free_port, orthanc
from tests.lib.certificates import Certificates
from tests.lib.tunnel import tunnel
from tests.parts import require
from useridentity.testing import AssertionIssuer, TokenIssuer
from useridentity.tls import server_context

__all__ = ["_own_configuration", "command"]

CT = Path(str(get_testdata_file("CT_small.dcm", download=False)))


@contextmanager
def storescp(folder: Path, certificates: Certificates) -> Iterator[Archive]:
    """DCMTK's, which only takes files."""
    folder.mkdir()
    cert, key = certificates.server
    port = free_port()
    tls = ("+tls", key, cert, "+cf", certificates.ca, "--require-peer-cert")
    arguments = [require("storescp"), *map(str, tls), "--output-directory", str(folder), str(port)]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(port)
            yield Archive(port, "STORESCP", 0)
        finally:
            process.kill()


@contextmanager
def dcmqrscp(folder: Path, certificates: Certificates) -> Iterator[Archive]:
    """DCMTK's archive behind a tunnel."""
    tls = server_context(*certificates.server, client_ca=certificates.ca)
    with archive(folder) as running, tunnel(running.port, tls, ending=True) as port:
        yield replace(running, port=port)


Start = Callable[[Path, Certificates], AbstractContextManager[Archive]]
ACCEPTORS: dict[str, Start] = {
    "storescp": storescp,
    "dcmqrscp": dcmqrscp,
    "Orthanc": orthanc,
    "dcmjs-dimse": lambda _folder, certificates: dcmjs(certificates),
}
COMMANDS = {
    "storescp": {"echo": 0, "store": 0, "find": 8, "get": 8, "move": 8},
    "dcmqrscp": {"echo": 0, "store": 0, "find": 0, "get": 0, "move": 0},
    "Orthanc": {"echo": 0, "store": 0, "find": 0, "get": 0, "move": 0},
    "dcmjs-dimse": {"echo": 0, "store": 0, "find": 0, "get": 8, "move": 0},
}
"""Exit codes; 8 where the acceptor does not have the service."""


@pytest.fixture(scope="module", params=ACCEPTORS)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[tuple[str, Archive]]:
    with ACCEPTORS[request.param](tmp_path_factory.mktemp("tls") / "files", certificates) as started:
        cert, key = certificates.server  # for moves too, which come to its address
        options = ("--ca", certificates.ca, "--cert", cert, "--key", key)
        yield request.param, replace(started, options=tuple(map(str, options)))


def test_every_command_over_mutual_tls(command: Command, running: tuple[str, Archive], tmp_path: Path) -> None:
    name, acceptor = running
    keys = ("-k", "PatientID=1CT1", "-k", f"StudyInstanceUID={dcmread(CT).StudyInstanceUID}")
    here = ["--to", "WS_1", "--output", "moved"]
    if name != "storescp":
        here += ["--receive", str(acceptor.workstation)]
    if name == "Orthanc":  # the only one of them that stores over TLS
        here.append("--receive-tls")
    runs = {
        "echo": command("echo", *acceptor.peer, "--json"),
        "store": command("store", *acceptor.peer[:2], CT, *acceptor.peer[2:]),
        "find": command("find", *acceptor.peer, *keys, "--columns", "PatientID"),
        "get": command("get", *acceptor.peer, *keys, "--output", "got"),
        "move": command("move", *acceptor.peer, *keys, *here),
    }
    assert {each: done.code for each, done in runs.items()} == COMMANDS[name], runs
    assert runs["echo"].json["tls"] in ("TLSv1.2", "TLSv1.3")
    kept = {"get": "got", "move": "moved"}
    for each, folder in kept.items():
        if COMMANDS[name][each] == 0:
            (path,) = (tmp_path / folder).iterdir()
            assert dcmread(path).PixelData == dcmread(CT).PixelData


def test_without_our_certificate_nobody_lets_us_in(
    command: Command, running: tuple[str, Archive], certificates: Certificates
) -> None:
    _, acceptor = running
    assert command("echo", *acceptor.peer).code == 0
    trusting = replace(acceptor, options=("--ca", str(certificates.ca)))
    assert command("echo", *trusting.peer).code in (4, 7)  # TLS 1.3 tells of a missing certificate only later
    foreign = certificates.foreign_client
    stranger = (*trusting.options, "--cert", str(foreign.cert), "--key", str(foreign.key))
    assert command("echo", *replace(acceptor, options=stranger).peer).code in (4, 7)


def test_an_acceptor_that_is_not_of_our_authorities_is_not_talked_to(
    command: Command, running: tuple[str, Archive], certificates: Certificates
) -> None:
    _, acceptor = running
    assert command("echo", *acceptor.peer).code == 0
    done = command("echo", *replace(acceptor, options=("--ca", str(certificates.foreign_ca))).peer)
    assert done.code == 4
    assert "certificate verify failed" in done.err


@pytest.mark.parametrize("kind", ["username", "passcode", "saml", "jwt", "another passcode"])
def test_who_ignores_identities_confirms_none_of_any_type(
    command: Command, running: tuple[str, Archive], tmp_path: Path, kind: str
) -> None:
    """Right or wrong is nothing they judge; what is said depends on `--confirmation` alone."""
    _, acceptor = running
    secrets = {
        "username": b"",
        "passcode": b"right",
        "another passcode": b"wrong",
        "saml": AssertionIssuer().assertion("alice") if kind == "saml" else b"",
        "jwt": TokenIssuer().token("alice").encode() if kind == "jwt" else b"",
    }
    (tmp_path / "secret").write_bytes(secrets[kind])
    (tmp_path / "secret").chmod(0o600)
    word = kind.rpartition(" ")[2]
    who = ["--identity", f"{word}:secret" if word in ("saml", "jwt") else f"{word}:alice"]
    if word == "passcode":
        who += ["--passcode-file", "secret"]
    required = command("echo", *acceptor.peer, *who)
    assert (required.code, required.out) == (6, "")
    assert "--confirmation wanted goes on without" in required.err
    for confirmation in ("wanted", "none") if kind == "username" else ("wanted",):
        done = command("echo", *acceptor.peer, *who, "--confirmation", confirmation)
        assert (done.code, done.err) == (0, "")
        assert "accepted, identity not confirmed; TLSv1." in done.out
