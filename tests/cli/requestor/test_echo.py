"""`useridentity echo`: who is let in, what is said of it, and the exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.requestor.conftest import Command
from tests.lib.certificates import Certificates
from tests.lib.ports import free_port
from tests.pynetdicom.support import PASSCODE, Acceptor, serving, usual_policy
from useridentity import Policy
from useridentity.pynetdicom import identity_of
from useridentity.tls import server_context


def test_an_accepted_identity_is_said_to_be_confirmed(command: Command, acceptor: Acceptor) -> None:
    done = command("echo", "127.0.0.1", acceptor.port, "--identity", "username:alice")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"127.0.0.1:{acceptor.port} (ANY-SCP) answered: accepted, identity confirmed; no TLS;")
    assert [identity_of(event).subject for event in acceptor.served] == ["username:alice"]


def test_json_has_the_same_in_one_object(command: Command, acceptor: Acceptor) -> None:
    done = command("echo", "127.0.0.1", acceptor.port, "--identity", "username:alice", "--json")
    assert done.json["outcome"] == "confirmed"
    assert done.json["status"] == "0000H"
    assert done.json["echo_ms"] > 0


def test_quiet_says_nothing_of_success(command: Command, acceptor: Acceptor) -> None:
    done = command("echo", "127.0.0.1", acceptor.port, "--identity", "username:alice", "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_without_an_identity_it_is_rejected_and_told_what_to_give(command: Command, acceptor: Acceptor) -> None:
    done = command("echo", "127.0.0.1", acceptor.port)
    assert (done.code, done.out) == (5, "")
    assert "rejected permanent, by the ACSE, no reason given (1,2,1)" in done.err
    assert "it may demand an identity (--identity)" in done.err
    assert acceptor.served == []


def test_a_wrong_passcode_is_rejected_and_the_log_named(
    command: Command, acceptor: Acceptor, passcode_file: Path
) -> None:
    peer = ("echo", "127.0.0.1", acceptor.port, "--identity", "passcode:alice", "--plaintext", "allow")
    assert command(*peer, "--passcode-file", passcode_file).code == 0
    passcode_file.write_bytes(b"wrong")
    done = command(*peer, "--passcode-file", passcode_file)
    assert done.code == 5
    assert "the acceptor refused this identity; nothing more can be learnt from the wire, ask its log" in done.err


@pytest.mark.parametrize(
    ("options", "module", "extra"),
    [
        (["--identity", "kerberos:dicom@pacs.test"], "gssapi", "kerberos"),
        (["--identity", "saml:assertion.xml"], "signxml", "saml"),
        (["--ca", "CA", "--crl", "CA"], "cryptography", "certificate"),
    ],
)
def test_what_is_not_installed_is_told_with_the_way_to_get_it(
    options: list[str], module: str, extra: str, certificates: Certificates
) -> None:
    given = [str(certificates.ca) if each == "CA" else each for each in options]
    code = f"""
import sys
sys.modules["{module}"] = None
from useridentity.cli import main
sys.argv = ["useridentity", "echo", "127.0.0.1", "104", *{given}]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert f"pip install 'useridentity[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_passcode_stays_here_without_tls(command: Command, acceptor: Acceptor, passcode_file: Path) -> None:
    peer = ("echo", "127.0.0.1", acceptor.port, "--identity", "passcode:alice", "--passcode-file", passcode_file)
    assert command(*peer, "--plaintext", "allow").code == 0
    done = command(*peer)
    assert done.code == 10
    assert "not sent: the passcode stays here" in done.err
    assert len(acceptor.served) == 1


def test_nobody_listening_is_unreachable(command: Command) -> None:
    done = command("echo", "127.0.0.1", free_port())
    assert done.code == 4
    assert "Connection refused" in done.err
    assert "nothing listens there" in done.err


def test_a_host_that_has_no_address_is_unreachable(command: Command) -> None:
    done = command("echo", "nowhere.invalid", 104)
    assert done.code == 4
    assert "check the name of the host" in done.err


@pytest.mark.parametrize("confirmation", ["required", "wanted", "none"])
def test_who_ignores_identities_has_not_confirmed(command: Command, stock_scp: object, confirmation: str) -> None:
    scp = stock_scp()  # type: ignore[operator]
    done = command("echo", "127.0.0.1", scp.port, "--identity", "username:alice", "--confirmation", confirmation)
    assert done.code == (6 if confirmation == "required" else 0)
    if done.code:
        assert "--confirmation wanted goes on without" in done.err
    else:
        assert "accepted, identity not confirmed" in done.out


def test_over_mutual_tls(command: Command, certificates: Certificates, passcode_file: Path) -> None:
    tls = server_context(*certificates.server, client_ca=certificates.ca)
    with serving(usual_policy(), tls=tls) as acceptor:
        peer = ["echo", "127.0.0.1", acceptor.port, "--ca", certificates.ca]
        own = ["--cert", certificates.client.cert, "--key", certificates.client.key]
        who = ["--identity", "passcode:alice", "--passcode-file", passcode_file]
        done = command(*peer, *own, *who)
        assert (done.code, done.err) == (0, "")
        assert "TLSv1.3" in done.out
        assert command(*peer, *who).code in (4, 7)  # TLS 1.3 tells of a missing certificate only later
        done = command("echo", "127.0.0.1", acceptor.port, "--ca", certificates.foreign_ca, *own, *who)
        assert done.code == 4
        assert "certificate verify failed" in done.err
        assert "--ca" in done.err


def test_a_certificate_for_another_name_is_not_taken(command: Command, certificates: Certificates) -> None:
    with serving(Policy.unguarded(), tls=server_context(*certificates.server)) as acceptor:
        peer = ("echo", "127.0.0.1", acceptor.port, "--ca", certificates.ca)
        assert command(*peer, "--server-name", "localhost").code == 0
        done = command(*peer, "--server-name", "pacs.example.org")
        assert done.code == 4
        assert "--server-name" in done.err


def test_tls_to_a_port_without_says_so(command: Command, certificates: Certificates, acceptor: Acceptor) -> None:
    done = command("echo", "127.0.0.1", acceptor.port, "--ca", certificates.ca, "--timeout", "2")
    assert done.code == 4


def test_ae_titles_are_those_asked_for(command: Command, acceptor: Acceptor) -> None:
    titles = ("--calling", "WS_1", "--called", "ARCHIVE", "--identity", "username:alice")
    assert command("echo", "127.0.0.1", acceptor.port, *titles).code == 0
    (event,) = acceptor.served
    assert (event.assoc.requestor.ae_title, event.assoc.acceptor.ae_title) == ("WS_1", "ARCHIVE")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--calling", "AN_AE_TITLE_TOO_LONG"), "is no AE title"),
        (("--called", "A\\B"), "is no AE title"),
        (("--cert", "a.pem"), "TLS needs the authorities to trust"),
        (("--identity", "pascode:alice"), "did you mean"),
        (("--identity", "username"), "write username:alice"),
        (("one-word-too-many",), "one word too many"),
    ],
)
def test_a_wrong_command_line_is_told_apart(command: Command, arguments: tuple[str, ...], said: str) -> None:
    done = command("echo", "127.0.0.1", 104, *arguments)
    assert done.code == 2
    assert said in done.err


@pytest.mark.threat("R1")
def test_a_passcode_on_the_command_line_is_refused_and_not_repeated(command: Command) -> None:
    done = command("echo", "127.0.0.1", 104, "--identity", f"passcode:alice:{PASSCODE.decode()}")
    assert done.code == 2
    assert "seen by every user of this machine" in done.err
    assert PASSCODE.decode() not in done.err + done.out
