"""PS3.15 B.13: the suites it names, those that Python cannot switch on, and keys that are too short."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.lib.certificates import Pair
from tests.lib.documents import snippets_of
from tests.lib.handshake import handshake
from tests.lib.pki import Ca
from useridentity.errors import ConfigurationError
from useridentity.tls import B_13_TLS_1_2_CIPHERS, client_context, server_context

# OpenSSL 3.2 took CCM_8 out of every security level but 0; docs/certificates.md says so.
SUITES = tuple(
    suite for suite in B_13_TLS_1_2_CIPHERS if ssl.OPENSSL_VERSION_INFO < (3, 2) or not suite.endswith("CCM8")
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("profiles")


@pytest.fixture(scope="module")
def root(folder: Path) -> Ca:
    root = Ca.root()
    (folder / "ca.pem").write_bytes(root.pem)
    return root


@pytest.fixture(scope="module")
def ecdsa(root: Ca, folder: Path) -> Pair:
    return root.issue(server=True).write(folder, "ecdsa")


@pytest.fixture(scope="module")
def with_rsa(root: Ca, folder: Path) -> Pair:
    return root.issue(server=True, key=rsa.generate_private_key(65537, 2048)).write(folder, "rsa")


@pytest.mark.parametrize("suite", SUITES)
def test_a_server_with_both_kinds_of_key_speaks_every_tls_1_2_suite_of_b_13(
    suite: str, ecdsa: Pair, with_rsa: Pair, folder: Path
) -> None:
    server = server_context(*ecdsa, also=with_rsa, profile="B.13")
    client = client_context(folder / "ca.pem", profile="B.13")
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(suite + ":@SECLEVEL=2")
    assert handshake(server, client).cipher == suite


def test_b_13_offers_its_suites_and_no_others(ecdsa: Pair, folder: Path) -> None:
    for context in (server_context(*ecdsa, profile="B.13"), client_context(folder / "ca.pem", profile="B.13")):
        old = [each["name"] for each in context.get_ciphers() if each["protocol"] != "TLSv1.3"]
        new = {each["name"] for each in context.get_ciphers() if each["protocol"] == "TLSv1.3"}
        assert tuple(old) == SUITES
        assert new == {"TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"}


@pytest.mark.parametrize("suite", ["AES128-SHA256", "CAMELLIA128-SHA256", "AES128-SHA"])
def test_a_suite_that_b_13_does_not_name_is_refused(suite: str, ecdsa: Pair, folder: Path) -> None:
    client = client_context(folder / "ca.pem", profile="B.13")
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    handshake(server_context(*ecdsa, profile="B.13"), client)
    client.set_ciphers(f"ECDHE-ECDSA-{suite}:@SECLEVEL=2")
    with pytest.raises(ssl.SSLError):
        handshake(server_context(*ecdsa, profile="B.13"), client)


def openssl_cnf() -> str:
    """As docs/certificates.md gives it."""
    return snippets_of("certificates", "ini")[0]


def test_the_ccm_suites_of_tls_1_3_come_with_openssls_own_configuration(ecdsa: Pair, tmp_path: Path) -> None:
    program = f"""
from useridentity.tls import server_context
context = server_context({str(ecdsa.cert)!r}, {str(ecdsa.key)!r}, profile="B.13")
print(sum(each["protocol"] == "TLSv1.3" for each in context.get_ciphers()))
"""
    (tmp_path / "openssl.cnf").write_text(openssl_cnf())

    def suites(**environment: str) -> int:
        environment = {**os.environ, **environment}
        return int(subprocess.check_output([sys.executable, "-c", program], env=environment, timeout=60))

    assert (suites(), suites(OPENSSL_CONF=str(tmp_path / "openssl.cnf"))) == (3, 5)


def test_signatures_that_b_13_does_not_name_go_with_openssls_own_configuration(
    root: Ca, ecdsa: Pair, folder: Path, tmp_path: Path
) -> None:
    """Here a server's with Ed25519, which a client then no longer offers."""
    ed25519_pair = root.issue(server=True, key=ed25519.Ed25519PrivateKey.generate()).write(folder, "ed25519")
    (tmp_path / "openssl.cnf").write_text(openssl_cnf())

    def agreed(pair: Pair, **environment: str) -> bool:
        server = server_context(*pair, profile="B.13")
        with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: server.wrap_socket(listener.accept()[0], server_side=True).close())
            command = [sys.executable, "-c", CLIENT, str(folder / "ca.pem"), str(listener.getsockname()[1])]
            environment = {**os.environ, **environment}
            return subprocess.check_output(command, env=environment, text=True, timeout=60) == "agreed\n"

    conf = str(tmp_path / "openssl.cnf")
    assert agreed(ecdsa)
    assert agreed(ecdsa, OPENSSL_CONF=conf)
    assert agreed(ed25519_pair)
    assert not agreed(ed25519_pair, OPENSSL_CONF=conf)


CLIENT = """
import socket, ssl, sys
from useridentity.tls import client_context
context = client_context(sys.argv[1], profile="B.13")
try:
    context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[2]))), server_hostname="127.0.0.1")
    print("agreed")
except ssl.SSLError:
    print("refused")
"""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("side", ["server", "client"])
def test_a_key_on_a_curve_below_256_bits_is_refused(
    version: ssl.TLSVersion, side: str, root: Ca, ecdsa: Pair, folder: Path
) -> None:
    def agree(curve: ec.EllipticCurve) -> None:
        pair = root.issue(server=side == "server", key=ec.generate_private_key(curve)).write(folder, curve.name)
        own = pair if side == "server" else ecdsa
        server = server_context(*own, client_ca=folder / "ca.pem" if side == "client" else None, profile="B.13")
        client = client_context(folder / "ca.pem", *(pair if side == "client" else ()), profile="B.13")
        client.maximum_version = version
        handshake(server, client)

    agree(ec.SECP256R1())
    with pytest.raises(OSError):  # noqa: PT011  either side may be the one that refuses
        agree(ec.SECP224R1())


@pytest.mark.parametrize("word", ["B.11", "b13", "", None])
def test_a_profile_that_is_not_in_force_is_an_error(word: Any, ecdsa: Pair) -> None:
    server_context(*ecdsa, profile="B.13")
    with pytest.raises(ConfigurationError, match=r'write "B\.12" or "B\.13"'):
        server_context(*ecdsa, profile=word)
