"""The profiles file: what it says counts, options come before it, and every mistake in it is told at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.requestor.conftest import Command
from tests.lib.certificates import Certificates
from tests.pynetdicom.support import Acceptor, serving, usual_policy
from useridentity.cli.requestor.completion import columns, identity_words, keys, peer_names, storage_names
from useridentity.pynetdicom import identity_of
from useridentity.tls import server_context

WriteProfiles = Callable[..., Path]


def test_a_name_is_enough(
    command: Command, profiles: WriteProfiles, certificates: Certificates, passcode_file: Path
) -> None:
    """AE titles, mutual TLS, identity and passcode from the profile; paths are relative to its file."""
    tls = server_context(*certificates.server, client_ca=certificates.ca)
    with serving(usual_policy(), tls=tls) as acceptor:
        path = profiles(f"""
            [peer.pacs]
            host = "127.0.0.1"
            port = {acceptor.port}
            called = "ARCHIVE"
            calling = "WS_1"
            identity = "passcode:alice"
            passcode_file = "secrets/alice"
            [peer.pacs.tls]
            ca = "{certificates.ca}"
            cert = "{certificates.client.cert}"
            key = "{certificates.client.key}"
            server_name = "localhost"
        """)
        (path.parent / "secrets").mkdir()
        (path.parent / "secrets" / "alice").write_bytes(passcode_file.read_bytes())
        (path.parent / "secrets" / "alice").chmod(0o600)
        done = command("echo", "pacs")
        assert (done.code, done.err) == (0, "")
        (event,) = acceptor.served
        assert identity_of(event).subject == "passcode:alice"
        assert (event.assoc.requestor.ae_title, event.assoc.acceptor.ae_title) == ("WS_1", "ARCHIVE")


def test_options_come_before_the_profile(command: Command, profiles: WriteProfiles, acceptor: Acceptor) -> None:
    profiles(f'[peer.pacs]\nhost = "127.0.0.1"\nport = {acceptor.port}\nidentity = "username:alice"\n')
    assert command("echo", "pacs").code == 0
    assert command("echo", "pacs", "--identity", "username:bob").code == 0
    assert command("echo", "pacs", "--identity", "none").code == 5
    assert [identity_of(event).user_id for event in acceptor.served] == ["alice", "bob"]


def test_a_file_elsewhere_is_named(
    command: Command, profiles: WriteProfiles, acceptor: Acceptor, tmp_path: Path
) -> None:
    path = profiles(f'[peer.pacs]\nhost = "127.0.0.1"\nport = {acceptor.port}\nidentity = "username:alice"\n')
    path.rename(tmp_path / "other.toml")
    assert command("echo", "pacs", "--profiles", "other.toml").code == 0
    done = command("echo", "pacs")
    assert done.code == 1
    assert "there is no [peer.pacs]" in done.err
    assert "does not exist" in done.err


@pytest.mark.threat("R5")
@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604])
def test_a_file_open_to_others_is_not_read(
    command: Command, profiles: WriteProfiles, acceptor: Acceptor, mode: int
) -> None:
    text = f'[peer.pacs]\nhost = "127.0.0.1"\nport = {acceptor.port}\nidentity = "username:alice"\n'
    profiles(text)
    assert command("echo", "pacs").code == 0
    path = profiles(text, mode)
    done = command("echo", "pacs")
    assert done.code == 1
    assert f"chmod 600 {path}" in done.err


def test_every_mistake_is_told_with_its_line_and_key(command: Command, profiles: WriteProfiles) -> None:
    path = profiles(
        """[peer.pacs]
host = "pacs.example.org"
port = 70000
calld = "ARCHIVE"
calling = "AN_AE_TITLE_TOO_LONG"
[peer.pacs.tls]
profile = "B.14"
[peer.other]
port = "104"
[pear.third]
[oidc.hospital]
issuer = "https://idp.example.org"
"""
    )
    done = command("echo", "other")
    assert done.code == 1
    told = done.err.replace(str(path), "FILE")
    for problem in (
        'FILE:4: peer.pacs.calld: unknown key; did you mean "called"?',
        "FILE:7: peer.pacs.tls.profile: 'B.14' is not allowed; did you mean \"B.13\"?",
        "FILE:6: peer.pacs.tls: ca is missing",
        "FILE:9: peer.other.port: '104' should be a whole number",
        "FILE:8: peer.other: host is missing",
        'FILE:10: pear: unknown key; did you mean "peer"?',
        "FILE:11: oidc.hospital: client_id is missing",
    ):
        assert problem in told, told


def test_ports_and_ae_titles_are_checked(command: Command, profiles: WriteProfiles) -> None:
    profiles('[peer.a]\nhost = "a"\nport = 70000\n[peer.b]\nhost = "b"\nport = 104\ncalling = "AN_AE_TITLE_TOO_LONG"\n')
    done = command("echo", "b")
    assert "70000 is no port" in done.err
    assert "peer.b.calling: 'AN_AE_TITLE_TOO_LONG' is no AE title" in done.err


def test_a_name_that_is_not_there_brings_the_nearest(command: Command, profiles: WriteProfiles) -> None:
    profiles('[peer.pacs]\nhost = "a"\nport = 104\n')
    done = command("echo", "pasc")
    assert done.code == 1
    assert 'did you mean "pacs"?' in done.err


@pytest.mark.parametrize("words", [(), ("",), ("dicom",), ("104a",)])
def test_a_host_without_its_port_is_told_to_take_one(
    command: Command, profiles: WriteProfiles, words: tuple[str, ...]
) -> None:
    for _ in range(2):
        done = command("echo", "127.0.0.1", *words)
        assert done.code == 1
        assert "there is no [peer.127.0.0.1]" in done.err
        assert "a host takes its port as the next word" in done.err
        profiles('[peer.pacs]\nhost = "a"\nport = 104\n')


def test_what_is_not_toml_is_said(command: Command, profiles: WriteProfiles) -> None:
    profiles("[peer.pacs\n")
    done = command("echo", "pacs")
    assert done.code == 1
    assert "not TOML" in done.err


def test_completion_knows_profiles_identities_attributes_and_classes(profiles: WriteProfiles) -> None:
    profiles(
        '[peer.pacs]\nhost = "a"\nport = 104\n[peer.research]\nhost = "b"\nport = 104\n'
        '[oidc.hospital]\nissuer = "https://idp.example.org"\nclient_id = "ws"\n'
    )
    assert peer_names("") == ["pacs", "research"]
    assert peer_names("p") == ["pacs"]
    assert identity_words("o") == ["oidc:", "oidc:hospital"]
    assert identity_words("p") == ["passcode:"]
    assert "PatientID=" in keys("PatientI")
    assert "PatientID" in columns("PatientI")
    assert "Modality,PatientID" in columns("Modality,PatientI")
    assert storage_names("CTIm") == ["CTImageStorage"]


def test_completion_is_silent_about_a_file_it_cannot_read(profiles: WriteProfiles) -> None:
    profiles("[", 0o644)
    assert peer_names("") == []
    assert "oidc:" in identity_words("")
