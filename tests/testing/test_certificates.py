"""The authority of nodes, judged by TLS and by the validator that a policy would ask."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lib.handshake import handshake
from tests.mechanisms.builders import context, facts
from tests.parts import require
from useridentity.errors import Refused
from useridentity.facts import Tls
from useridentity.identity import Identity
from useridentity.settings import Runtime
from useridentity.testing import CertificateAuthority, Pair, der_of
from useridentity.tls import client_context, server_context


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    require("cryptography")
    made = CertificateAuthority()
    made.write(tmp_path / "ca.pem")
    return made


def judge(folder: Path, node: Pair) -> Identity:
    """What a policy that trusts ca.pem says of a node's certificate."""
    from useridentity.mechanisms.certificate import CertificateSettings

    validator = CertificateSettings(folder / "ca.pem", subject={"O": "Radiology"}).build(Runtime("node", folder))
    connection = replace(facts(Tls.MUTUAL), identity_type=None, peer_certificate=der_of(node.cert))
    return validator.validate(None, connection, context()).identity


def test_its_nodes_are_accepted(authority: CertificateAuthority, tmp_path: Path) -> None:
    node = authority.node(tmp_path, "CT_1", "Radiology")
    assert judge(tmp_path, node).subject == "node:CT_1"
    server = server_context(*authority.server(tmp_path), client_ca=tmp_path / "ca.pem")
    assert handshake(server, client_context(tmp_path / "ca.pem", *node)).client_name == "CT_1"
    assert node.key.stat().st_mode & 0o077 == 0


def test_an_impostors_are_not(authority: CertificateAuthority, tmp_path: Path) -> None:
    impostor = CertificateAuthority(authority.name)
    node = impostor.node(tmp_path, "CT_1", "Radiology")
    with pytest.raises(Refused, match="not by this validator's issuer"):
        judge(tmp_path, node)
    server = server_context(*authority.server(tmp_path), client_ca=tmp_path / "ca.pem")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(server, client_context(tmp_path / "ca.pem", *node))
