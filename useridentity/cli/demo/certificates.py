"""No type at all: nodes that prove themselves by TLS, alone and together with a token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from useridentity.cli.demo.part import Attempt, Part
from useridentity.cli.demo.peers import HOST, associate, storescu
from useridentity.testing import CertificateAuthority, Pair, TokenIssuer, bound_to, der_of
from useridentity.tls import client_context, server_context

SETTINGS = """\
type = "certificate"
issuer = "nodes-ca.pem"
ae_title = "CN"            # who calls as CT_1 has the certificate of CT_1"""

BOUND_SETTINGS = """

[validator.bound]
type = "jwt"
issuer = "{issuer.issuer}"
audience = "{issuer.audience}"
jwks = "bound.json"
binding = "certificate"    # worthless without the key to that certificate"""

BOTH = """\
[[authenticate]]
name = "reading rooms"
when = { calling_ae_title = ["READER_*"] }
accept = ["bound+node"]    # a user, at a machine that is known"""


@contextmanager
def certificates(folder: Path) -> Iterator[Part]:
    """TLS client certificates; with the extra `jwt` also tokens that are bound to one."""
    authority = CertificateAuthority("the hospital's authority")
    ca = authority.write(folder / "nodes-ca.pem")
    alone = _alone(authority.node(folder, "CT_1"), ca)
    bound = _bound(folder, authority, ca) if find_spec("jwt") else Part(())
    tls = server_context(*authority.server(folder), client_ca=ca, client_certificate="optional")
    yield Part((*alone, *bound.attempts), "node", SETTINGS + bound.settings, bound.rules, tls)


def _alone(modality: Pair, ca: Path) -> tuple[Attempt, ...]:
    options = ("-aet", "CT_1", "+cf", str(ca), "+tls", str(modality.key), str(modality.cert), "+pz")
    return (
        _attempt("certificate of CT_1", "CT_1", modality, ca),
        _attempt("certificate of CT_1, as MR_1", "MR_1", modality, ca),
        _attempt("TLS without certificate", "CT_1", None, ca),
        *storescu("certificate", *options, tls=True),
    )


def _bound(folder: Path, authority: CertificateAuthority, ca: Path) -> Part:
    """Tokens of an issuer that binds them to the machine they are used at."""
    issuer = TokenIssuer("https://rooms.test")
    issuer.write_jwks(folder / "bound.json")
    reader, other = authority.node(folder, "READER_1"), authority.node(folder, "READER_2")
    token = issuer.token("alice", cnf=bound_to(der_of(reader.cert)))
    attempts = (
        _attempt("JWT and its certificate", "READER_1", reader, ca, token),
        _attempt("JWT, stolen by READER_2", "READER_2", other, ca, token),
        _attempt("the certificate alone", "READER_1", reader, ca),
    )
    return Part(attempts, settings=BOUND_SETTINGS.format(issuer=issuer), rules=BOTH)


def _attempt(sent: str, ae_title: str, node: Pair | None, ca: Path, token: str = "") -> Attempt:
    context = client_context(ca, *(node or ()))
    if not token:
        return Attempt(sent, associate(None, ae_title=ae_title, tls=context), tls=True)
    from useridentity.mechanisms.jwt import Jwt

    return Attempt(sent, associate(Jwt(token, peers=[HOST]), ae_title=ae_title, tls=context), tls=True)
