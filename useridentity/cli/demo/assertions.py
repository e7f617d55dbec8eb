"""Type 4: SAML assertions, from an issuer that is made for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from useridentity.cli.demo.part import Attempt, Part
from useridentity.cli.demo.peers import HOST, associate
from useridentity.testing import AssertionIssuer


@contextmanager
def saml(folder: Path) -> Iterator[Part]:
    """User-Identity-Type 4."""
    issuer, stranger = AssertionIssuer("urn:idp"), AssertionIssuer("urn:stranger")
    issuer.write_metadata(folder / "idp.xml")
    attempts = (
        Attempt("SAML assertion", _with(issuer.assertion("alice"))),
        Attempt("SAML, tampered with", _with(issuer.assertion("mallory").replace(b"mallory", b"alice"))),
        Attempt("SAML, by an unknown issuer", _with(stranger.assertion("alice"))),
    )
    settings = f"""\
type = "saml"
metadata = "idp.xml"
audience = "{issuer.audience}"
plaintext = "allow"        # this never leaves the machine"""
    yield Part(attempts, "federation", settings)


def _with(assertion: bytes) -> Callable[[int], str]:
    from useridentity.mechanisms.saml import Saml

    return associate(Saml(assertion, peers=[HOST], plaintext="allow"))
