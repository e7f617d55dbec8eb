"""The association requestor's side: an assertion sent, and the response to it judged."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path

from cryptography import x509

from useridentity.credential import MAX_FIELD, Confirmation, Credential, IdentityType
from useridentity.errors import ConfigurationError, CredentialUnavailable, NotConfirmed
from useridentity.facts import Peer
from useridentity.mechanisms.bearer import check_may_see, check_provider, in_file
from useridentity.mechanisms.given import revealed
from useridentity.mechanisms.plaintext import Plaintext
from useridentity.mechanisms.saml.conditions import is_single_use
from useridentity.mechanisms.saml.response import judge
from useridentity.mechanisms.saml.signature import certificates_in, read
from useridentity.mechanisms.saml.structure import parser
from useridentity.mechanisms.saml.xml import ASSERTION, etree
from useridentity.mechanisms.username import UsernameOffer

Source = bytes | PathLike[str] | Callable[[], bytes]
"""An assertion, the file that holds it, or a callable that is asked for one for each association."""

REMEMBERED = 1024
"""Assertions that a provider remembers having sent. A response is only good for two minutes, and nobody
opens as many associations in that time."""


@dataclass(frozen=True, slots=True)
class Saml:
    """Association requestor: a SAML 2.0 assertion (PS3.7 D.3.3.7, type 4), or a samlp:Response with one.

    Fields:
        assertion: its octets, the path of a file that is read for each association, or a callable that
            returns the octets and is asked afresh each time. White space around it is not sent.
        peers: the hosts that may see it, by the name in their TLS certificate; `*` stands for any
            characters. Who has a bearer assertion is the user.
        acceptor: PEM files with the acceptor's signing certificates. With them its response must be
            signed; and where the assertion says OneTimeUse, it is mutual authentication.
        plaintext: "refuse" (default) shows it only to a peer whose TLS certificate was verified.

    Raises `ConfigurationError` where one of them has the wrong type or word, or a file cannot be used.
    """

    assertion: Source = field(repr=False)
    peers: Sequence[str] = field(kw_only=True)
    acceptor: Sequence[PathLike[str]] = field(default=(), kw_only=True)
    plaintext: Plaintext = field(default="refuse", kw_only=True)
    _certificates: tuple[x509.Certificate, ...] = field(init=False, repr=False)
    _sent: _Sent = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_provider(self.peers, self.plaintext)
        if not (isinstance(self.assertion, bytes | PathLike) or callable(self.assertion)):
            kind = type(self.assertion).__name__
            raise ConfigurationError(f"the assertion is a {kind}; give bytes, a Path, or a callable that returns bytes")
        files = [Path(path) for path in self.acceptor]
        found = tuple(each for path in files for each in certificates_in(read(path), str(path)))
        object.__setattr__(self, "_certificates", found)
        object.__setattr__(self, "_sent", _Sent())

    def offer(self, peer: Peer) -> SamlOffer:
        """Raises `CredentialUnavailable` where the assertion may not be shown to `peer`, or cannot be had or sent."""
        check_may_see(peer, self.peers, self.plaintext)
        octets = _octets(self.assertion).strip()
        identifier, single_use = _described(octets)
        first = self._sent.add(identifier)
        return SamlOffer(octets, identifier, single_use and first, self._certificates)


class SamlOffer(UsernameOffer):
    """An assertion, held for one association, and the judge of the samlp:Response to it."""

    __slots__ = ("_acceptor", "_identifier", "_single_use")

    def __init__(self, octets: bytes, identifier: str, single_use: bool, acceptor: Sequence[x509.Certificate]) -> None:
        super().__init__(Credential(IdentityType.SAML, octets))
        self._identifier = identifier
        self._single_use = single_use
        self._acceptor = acceptor

    def confirm(self, server_response: bytes | None) -> Confirmation:
        """Judge the Server-response (PS3.7 Table D.3-15).

        `mutual` is true where the acceptor signed it for an assertion that serves once: the response to
        another use of the same assertion could be an old one. Raises `NotConfirmed`.
        """
        if server_response is None:
            raise NotConfirmed("no server response: the acceptor may have ignored the identity (PS3.7 D.3.3.7)")
        if not server_response:
            raise NotConfirmed("the server response is empty; for SAML it is a SAML response (PS3.7 Table D.3-15)")
        if server_response == self.credential.primary_field:
            raise NotConfirmed("the acceptor sent the assertion back, which confirms nothing (PS3.7 Table D.3-15)")
        answer = judge(server_response, self._identifier, datetime.now(UTC), self._acceptor)
        return Confirmation(answer.issuer, mutual=answer.signed and self._single_use)


class _Sent:
    """The assertions sent of late, by their ID. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._identifiers: deque[str] = deque(maxlen=REMEMBERED)

    def add(self, identifier: str) -> bool:
        """Remember one; False where it is there already."""
        with self._lock:
            first = identifier not in self._identifiers
            self._identifiers.append(identifier)
            return first


def _octets(source: Source) -> bytes:
    if isinstance(source, PathLike):
        return in_file(source, "assertion")
    if isinstance(source, bytes):
        return source
    octets = revealed(source, "the assertion")
    if not isinstance(octets, bytes):
        raise CredentialUnavailable(f"the assertion callable returned {type(octets).__name__}, not bytes")
    return octets


def _described(octets: bytes) -> tuple[str, bool]:
    """The ID of the assertion, which the response must name, and whether it serves once."""
    if len(octets) > MAX_FIELD:
        raise CredentialUnavailable(f"the assertion has {len(octets)} bytes, the item carries at most {MAX_FIELD}")
    try:
        assertions = list(etree.fromstring(octets, parser()).iter(ASSERTION))
    except etree.XMLSyntaxError as error:
        raise CredentialUnavailable(f"the assertion is not XML (line {error.lineno}, error {error.code})") from None
    if len(assertions) != 1 or not assertions[0].get("ID"):
        raise CredentialUnavailable(f"there must be one SAML 2.0 assertion with an ID; there are {len(assertions)}")
    return assertions[0].get("ID"), is_single_use(assertions[0])
