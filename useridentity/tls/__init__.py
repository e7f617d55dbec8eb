"""TLS contexts for DICOM: the secure transport connection profiles of PS3.15 B.12 and B.13.

What B.12 (BCP 195 RFC 8996, 9325) asks for and where it comes from:

- TLS 1.2 at least, TLS 1.3 wherever both sides have it (B.12; RFC 9325 3.1.1). SSL, TLS 1.0 and 1.1
  are not negotiated (RFC 8996).
- For TLS 1.2 the four suites that RFC 9325 4.2 recommends, hence no NULL, static RSA, DHE, CBC or RC4
  (4.1). TLS 1.3 keeps OpenSSL's own list (4.3).
- RSA keys of 2048 bits and curves of 224 bits at least, no SHA-1 or MD5 signatures (4.5): OpenSSL's
  security level 2.
- No compression (3.3), which Python never negotiates, and no renegotiation (3.5).
- Servers can authenticate their clients (B.12); whether one must is the caller's choice below.

B.13 (modified) has the ten suites for TLS 1.2 that a server "shall support" and no others, and asks a
server for a certificate of either kind of key, or half of them cannot be used. What Python's `ssl` cannot
express of it is listed in docs/certificates.md.

A session that is resumed from a ticket keeps the client certificate that was verified when it
began: `getpeercert()` tells the same in both, so resumption is left on. It ends with its context.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Literal, get_args

from useridentity import whole_file
from useridentity.errors import ConfigurationError

PathLike = str | os.PathLike[str]
ClientCertificate = Literal["required", "optional"]
Profile = Literal["B.12", "B.13"]

TLS_1_2_CIPHERS = (  # RFC 9325 4.2, in its order
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
)
B_13_TLS_1_2_CIPHERS = (  # PS3.15 B.13, those that a server shall support, in its order
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES256-CCM",
    "ECDHE-ECDSA-AES256-CCM8",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES128-CCM",
    "ECDHE-ECDSA-AES128-CCM8",
)
_CIPHERS = {"B.12": TLS_1_2_CIPHERS, "B.13": B_13_TLS_1_2_CIPHERS}
SECURITY_LEVEL = "@SECLEVEL=2"  # 112 bits of security: the key sizes of RFC 9325 4.5

_HINTS = {
    "KEY_VALUES_MISMATCH": "the key is not this certificate's; put the certificate itself before its chain",
    "EE_KEY_TOO_SMALL": "the key is too short; RFC 9325 4.5 wants RSA of 2048 bits or a curve of 224 bits at least",
}


def client_context(
    ca: PathLike,
    cert: PathLike | None = None,
    key: PathLike | None = None,
    *,
    crl: PathLike | None = None,
    profile: Profile = "B.12",
) -> ssl.SSLContext:
    """An association requestor's context; the acceptor's chain and name are verified.

    Args:
        ca: PEM file with the certificates of the authorities that are trusted.
        cert, key: PEM files with the requestor's own certificate (and its chain) and the unencrypted
            private key to it, for mutual authentication; both or neither.
        crl: PEM file with a certificate revocation list of each of those authorities (RFC 5280 5); an
            acceptor that one of them lists, or whose authority's has ended, is refused.
        profile: of PS3.15.

    Raises `ConfigurationError` where a file cannot be used.
    """
    if (cert is None) != (key is None):
        given, missing = ("certificate", "key") if key is None else ("key", "certificate")
        raise ConfigurationError(f"a client {given} needs its {missing}: give both `cert` and `key`, or neither")
    _require_readable({"ca": ca, "cert": cert, "key": key})
    context = _context(ssl.PROTOCOL_TLS_CLIENT, profile)
    _trust(context, ca, crl)
    if cert is not None and key is not None:
        _prove(context, cert, key)
    return context


def server_context(
    cert: PathLike,
    key: PathLike,
    *,
    client_ca: PathLike | None = None,
    client_certificate: ClientCertificate | None = None,
    crl: PathLike | None = None,
    profile: Profile = "B.12",
    also: tuple[PathLike, PathLike] | None = None,
) -> ssl.SSLContext:
    """An association acceptor's context, made of its files as they are now; `tls.reload.ServerTls` follows them.

    Args:
        cert, key: PEM files with the acceptor's certificate (and its chain) and the unencrypted
            private key to it.
        client_ca: PEM file with the certificates of the authorities that issue requestors'
            certificates. Without it requestors are not asked for one.
        client_certificate: "required" (what is meant where `client_ca` is given and this is not): no
            TLS without a valid one; "optional": one that is shown must be valid. Neither has a
            meaning without `client_ca`, so that a forgotten one is an error and not an open door.
        crl: PEM file with a certificate revocation list of each of those authorities (RFC 5280 5); a
            certificate that one of them lists, or whose authority's has ended, is refused.
        profile: of PS3.15.
        also: a second certificate and key, RSA beside ECDSA or the other way round; B.13 needs both.

    Raises `ConfigurationError` where an argument or a file cannot be used.
    """
    verify_mode = _verify_mode(client_ca, client_certificate)
    if crl is not None and client_ca is None:
        raise ConfigurationError("crl needs client_ca, the authorities whose certificates it revokes")
    _require_readable({"cert": cert, "key": key, "client_ca": client_ca})
    context = _context(ssl.PROTOCOL_TLS_SERVER, profile)
    _prove(context, cert, key)
    if also is not None:
        _require_readable({"cert": also[0], "key": also[1]})
        _prove(context, *also)
    if client_ca is not None:
        _trust(context, client_ca, crl)
    context.verify_mode = verify_mode
    return context


def _verify_mode(client_ca: PathLike | None, client_certificate: ClientCertificate | None) -> ssl.VerifyMode:
    if client_certificate not in (None, *get_args(ClientCertificate)):
        raise ConfigurationError(f'client_certificate is {client_certificate!r}: write "required" or "optional"')
    if client_ca is None:
        if client_certificate is not None:
            raise ConfigurationError(
                f'client_certificate="{client_certificate}" needs client_ca, the file to verify it by'
            )
        return ssl.CERT_NONE
    return ssl.CERT_OPTIONAL if client_certificate == "optional" else ssl.CERT_REQUIRED


def _context(protocol: int, profile: Profile) -> ssl.SSLContext:
    if profile not in _CIPHERS:
        raise ConfigurationError(f'profile is {profile!r}: write "B.12" or "B.13"')
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join((*_CIPHERS[profile], SECURITY_LEVEL)))
    context.options |= ssl.OP_NO_RENEGOTIATION
    return context


def _trust(context: ssl.SSLContext, ca: PathLike, crl: PathLike | None) -> None:
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"{os.fspath(ca)}: not a usable PEM certificate ({error}); `openssl x509 -noout -in` that file says why"
        ) from error
    if crl is not None:
        _revoke(context, ca, crl)


def _revoke(context: ssl.SSLContext, ca: PathLike, crl: PathLike) -> None:
    """From now on every certificate of a chain must be absent from its issuer's list, which must not have ended.

    OpenSSL would trust an authority that stands in the file, too. Lists are often fetched over plain HTTP, since they
    are signed: whoever can add to them must not be able to add authorities.
    """
    from useridentity.tls.crl import RevocationLists

    RevocationLists.read(crl, ca)
    trusted = context.cert_store_stats()["x509"]
    try:
        context.load_verify_locations(crl)
    except ssl.SSLError as error:
        what = "not a usable revocation list, or something else is in the file; leave only whole lists"
        raise ConfigurationError(f"crl {os.fspath(crl)}: {what} ({error})") from error
    if context.cert_store_stats()["x509"] != trusted:
        raise ConfigurationError(f"crl {os.fspath(crl)}: holds certificates, which would be trusted; leave only lists")
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


def _prove(context: ssl.SSLContext, cert: PathLike, key: PathLike) -> None:
    try:
        context.load_cert_chain(cert, key, password="")  # an empty one, so that OpenSSL never asks at the terminal
    except ssl.SSLError as error:
        reason = error.reason or str(error)
        hint = _HINTS.get(reason, f"unusable ({reason}): `openssl x509` and `openssl pkey` with -noout -in say which")
        raise ConfigurationError(f"certificate {os.fspath(cert)} with key {os.fspath(key)}: {hint}") from error


def _require_readable(files: dict[str, PathLike | None]) -> None:
    """Name every file that is missing, unreadable or of another kind, before OpenSSL does so less clearly."""
    problems = [_problem(argument, Path(path)) for argument, path in files.items() if path is not None]
    if found := [problem for problem in problems if problem]:
        raise ConfigurationError(found)


def _problem(argument: str, path: Path) -> str:
    try:
        content = whole_file.content(path)
    except OSError as error:
        return f"{argument} {path}: {error.strerror}; give the path of a PEM file that this process may read"
    if argument != "key":
        found = b"-----BEGIN CERTIFICATE-----" in content
        return "" if found else f"{argument} {path}: holds no PEM certificate (-----BEGIN CERTIFICATE-----)"
    if b"PRIVATE KEY-----" not in content:
        return f"key {path}: holds no PEM private key (-----BEGIN PRIVATE KEY-----)"
    if b"ENCRYPTED" in content:
        return f"key {path}: is encrypted; `openssl pkey -in {path} -out PLAIN` decrypts it (keep PLAIN at mode 0600)"
    return ""
