"""Contexts of PS3.15 B.12: real handshakes on loopback, each refusal beside its accepted twin."""

from __future__ import annotations

import datetime
import ssl
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from trustme import KeyType

from tests.lib.certificates import Certificates, Pair
from tests.lib.handshake import handshake
from useridentity.errors import ConfigurationError
from useridentity.tls import TLS_1_2_CIPHERS, client_context, server_context


@pytest.fixture
def server(certificates: Certificates) -> ssl.SSLContext:
    return server_context(*certificates.server)


@pytest.fixture
def mutual(certificates: Certificates) -> ssl.SSLContext:
    return server_context(*certificates.server, client_ca=certificates.ca)


@pytest.fixture
def client(certificates: Certificates) -> ssl.SSLContext:
    return client_context(certificates.ca)


@pytest.fixture(scope="module")
def rsa_server(certificates: Certificates) -> Pair:
    return certificates.authority.issue("rsa-server", "127.0.0.1", key_type=KeyType.RSA)


# What is negotiated


@pytest.mark.parametrize("name", ["127.0.0.1", "::1", "localhost"])
def test_tls_1_3_is_agreed_with_a_server_whose_chain_and_name_are_right(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str
) -> None:
    agreed = handshake(server, client, name)
    assert agreed.version == "TLSv1.3"
    assert agreed.client_name == ""


@pytest.mark.parametrize("key_type", KeyType)
def test_tls_1_2_is_agreed_with_a_recommended_suite_for_either_kind_of_key(
    certificates: Certificates, client: ssl.SSLContext, key_type: KeyType
) -> None:
    server = server_context(*certificates.authority.issue(key_type.name, "127.0.0.1", key_type=key_type))
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    agreed = handshake(server, client)
    assert agreed.version == "TLSv1.2"
    assert agreed.cipher in TLS_1_2_CIPHERS


def lax(context: ssl.SSLContext, version: ssl.TLSVersion, suites: str) -> ssl.SSLContext:
    """The same context, made to speak this version with these suites and no other."""
    context.set_ciphers(suites)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of TLS 1.1
        context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize(
    ("version", "suite"),
    [
        pytest.param(ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0", id="TLS 1.1"),
        pytest.param(ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES128-SHA256", id="CBC"),
        pytest.param(ssl.TLSVersion.TLSv1_2, "AES128-GCM-SHA256", id="static RSA"),
        pytest.param(ssl.TLSVersion.TLSv1_2, "NULL-SHA256:@SECLEVEL=0", id="NULL"),
    ],
)
def test_what_rfc_9325_rules_out_is_refused_by_either_side(
    certificates: Certificates, rsa_server: Pair, version: ssl.TLSVersion, suite: str
) -> None:
    def strict() -> tuple[ssl.SSLContext, ssl.SSLContext]:
        return server_context(*rsa_server), client_context(certificates.ca)

    lax_server, lax_client = (lax(context, version, suite) for context in strict())
    handshake(lax_server, lax_client)
    for server, client in ((strict()[0], lax_client), (lax_server, strict()[1])):
        with pytest.raises(OSError, match=r"(?i)alert|unsupported.protocol|reset"):
            handshake(server, client)


def test_only_rfc_9325_suites_and_tls_1_3_are_offered(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    for context in (server, client):
        old = [each["name"] for each in context.get_ciphers() if each["protocol"] != "TLSv1.3"]
        assert tuple(old) == TLS_1_2_CIPHERS
        assert context.security_level == 2
        assert context.options & ssl.OP_NO_COMPRESSION
        assert context.options & ssl.OP_NO_RENEGOTIATION


# The server's identity


def test_a_server_of_another_authority_is_refused(certificates: Certificates, server: ssl.SSLContext) -> None:
    handshake(server, client_context(certificates.ca))
    with pytest.raises(ssl.SSLCertVerificationError, match=r"unable to get local issuer|self.signed"):
        handshake(server, client_context(certificates.foreign_ca))


def test_a_server_under_another_name_is_refused(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    handshake(server, client, "localhost")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(server, client, "pacs.example.org")


# The client's identity


def test_a_client_certificate_is_verified_and_shown(certificates: Certificates, mutual: ssl.SSLContext) -> None:
    agreed = handshake(mutual, client_context(certificates.ca, *certificates.client))
    assert agreed.client_name == "CT_1"


def test_a_client_without_a_certificate_is_refused_where_one_is_required(
    certificates: Certificates, mutual: ssl.SSLContext, client: ssl.SSLContext
) -> None:
    handshake(mutual, client_context(certificates.ca, *certificates.client))
    with pytest.raises(OSError):  # noqa: PT011  an alert or a reset, whichever is first
        handshake(mutual, client)


@pytest.mark.parametrize("word", ["required", "optional"])
def test_a_foreign_client_certificate_is_refused_even_where_none_is_required(
    certificates: Certificates, word: Any
) -> None:
    server = server_context(*certificates.server, client_ca=certificates.ca, client_certificate=word)
    handshake(server, client_context(certificates.ca, *certificates.client))
    with pytest.raises(OSError):  # noqa: PT011  an alert or a reset, whichever is first
        handshake(server, client_context(certificates.ca, *certificates.foreign_client))


def test_a_client_without_a_certificate_is_let_in_where_it_is_optional(
    certificates: Certificates, client: ssl.SSLContext
) -> None:
    server = server_context(*certificates.server, client_ca=certificates.ca, client_certificate="optional")
    assert handshake(server, client).client_name == ""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_resumed_session_keeps_the_verified_client_certificate(
    certificates: Certificates, mutual: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    client = client_context(certificates.ca, *certificates.client)
    client.maximum_version = version
    first = handshake(mutual, client)
    second = handshake(mutual, client, session=first.session)
    assert (first.resumed, second.resumed) == (False, True)
    assert second.client_name == first.client_name == "CT_1"


# What cannot be used, said clearly


def problems_of(make: Callable[..., ssl.SSLContext], *args: Any, **kwargs: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as raised:
        make(*args, **kwargs)
    return raised.value.problems


def test_every_missing_file_is_named_at_once(tmp_path: Path) -> None:
    problems = problems_of(server_context, tmp_path / "a.pem", tmp_path / "a.key", client_ca=tmp_path / "ca.pem")
    for problem, argument in zip(problems, ("cert", "key", "client_ca"), strict=True):
        assert problem.startswith(f"{argument} {tmp_path}")
        assert "No such file" in problem


def test_a_folder_in_place_of_a_file_is_named(certificates: Certificates, tmp_path: Path) -> None:
    client_context(certificates.ca)
    (problem,) = problems_of(client_context, tmp_path)
    assert problem.startswith(f"ca {tmp_path}: Is a directory")


def test_files_of_another_kind_are_told_from_usable_ones(certificates: Certificates) -> None:
    server_context(*certificates.server)
    problems = problems_of(server_context, certificates.server.key, certificates.server.cert)
    assert ["no PEM certificate" in problems[0], "no PEM private key" in problems[1]] == [True, True]
    (problem,) = problems_of(client_context, certificates.server.key)
    assert "no PEM certificate" in problem


def test_a_key_of_another_certificate_is_refused(certificates: Certificates) -> None:
    client_context(certificates.ca, *certificates.client)
    (problem,) = problems_of(client_context, certificates.ca, certificates.client.cert, certificates.server.key)
    assert str(certificates.client.cert) in problem
    assert "not this certificate's" in problem


@pytest.mark.parametrize("form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_is_refused_and_its_passphrase_never_asked_for(
    certificates: Certificates, tmp_path: Path, form: serialization.PrivateFormat
) -> None:
    cert, key = certificates.server
    plain = serialization.load_pem_private_key(key.read_bytes(), None)
    lock = serialization.BestAvailableEncryption(b"passphrase")
    encrypted = tmp_path / "server.key"
    encrypted.write_bytes(plain.private_bytes(serialization.Encoding.PEM, form, lock))
    (problem,) = problems_of(server_context, cert, encrypted)
    assert "is encrypted" in problem


def test_damaged_pem_files_are_named(certificates: Certificates, tmp_path: Path) -> None:
    damaged = {}
    for kind, whole in (("cert", certificates.server.cert), ("key", certificates.server.key)):
        lines = whole.read_text().splitlines()
        damaged[kind] = tmp_path / kind
        damaged[kind].write_text("\n".join([lines[0], "zzz", lines[-1]]))
    for args in ((damaged["cert"], certificates.server.key), (certificates.server.cert, damaged["key"])):
        (problem,) = problems_of(server_context, *args)
        assert "`openssl pkey`" in problem
    (problem,) = problems_of(client_context, damaged["cert"])
    assert "not a usable PEM certificate" in problem


def self_signed(folder: Path, bits: int) -> Pair:
    """A self-signed certificate with an RSA key of so many bits; trustme makes none that is weak."""
    folder.mkdir()
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pacs.example.org")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + datetime.timedelta(days=1))
    pair = Pair(folder / "server.pem", folder / "server.key")
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    pair.cert.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(pem))
    pair.key.write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    return pair


def test_a_key_shorter_than_rfc_9325_allows_is_refused(tmp_path: Path) -> None:
    server_context(*self_signed(tmp_path / "2048", bits=2048))
    (problem,) = problems_of(server_context, *self_signed(tmp_path / "1024", bits=1024))
    assert "too short" in problem


@pytest.mark.parametrize("given", ["cert", "key"])
def test_half_a_client_identity_is_an_error(certificates: Certificates, given: str) -> None:
    half = {given: getattr(certificates.client, given)}
    (problem,) = problems_of(client_context, certificates.ca, **half)
    assert "give both `cert` and `key`, or neither" in problem


@pytest.mark.parametrize("word", ["require", "", True, False])
def test_a_mistyped_word_is_an_error_and_not_an_open_door(certificates: Certificates, word: Any) -> None:
    (problem,) = problems_of(server_context, *certificates.server, client_ca=certificates.ca, client_certificate=word)
    assert problem == f'client_certificate is {word!r}: write "required" or "optional"'


def test_a_required_client_certificate_without_an_authority_is_an_error(certificates: Certificates) -> None:
    (problem,) = problems_of(server_context, *certificates.server, client_certificate="required")
    assert "needs client_ca" in problem
