"""Association requestor: a token obtained from an OpenID provider for each association, or kept until it ends."""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import quote_plus, urlencode

from useridentity.errors import ConfigurationError, CredentialUnavailable
from useridentity.facts import Peer
from useridentity.https import Answer, check_url
from useridentity.mechanisms.bearer import check_may_see, check_provider
from useridentity.mechanisms.given import Given, check_given, revealed
from useridentity.mechanisms.https import FetchFailed, request
from useridentity.mechanisms.jwt.discovery import discovered
from useridentity.mechanisms.jwt.offer import TokenOffer, token_octets
from useridentity.mechanisms.jwt.token_cache import Issued, TokenCache
from useridentity.mechanisms.plaintext import Plaintext
from useridentity.mechanisms.strict_json import Malformed, json_object
from useridentity.tls.client import ClientTls

For = str | Callable[[Peer], str]
"""A parameter of the token request: always the same, or made for the peer that will see the token."""

Reuse = Literal["until-expiry", "never"]

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  a name, no secret
JWT = "urn:ietf:params:oauth:token-type:jwt"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105  a name, no secret

LONGEST_LIFE = 24 * 3600
"""Seconds of `expires_in` that are believed."""


@dataclass(frozen=True, kw_only=True)
class OidcProvider(ABC):
    """What all providers that ask an OpenID provider have in common.

    Fields:
        issuer: the provider's identifier, an https URL; its token endpoint is discovered.
        client_id: who this application is to the provider.
        client_secret: its secret, or a callable that is asked for it each time; sent as HTTP Basic (RFC 6749
            2.3.1). None where the client is known by its certificate.
        cert, key: PEM files of a TLS client certificate for the provider (RFC 8705); tokens are then bound to
            it where the provider does that, and the same certificate must be shown to the acceptor.
        scope, audience, resource: parameters of the request as the provider wants them (RFC 6749 3.3,
            RFC 8693 2.1, RFC 8707 2); the last two may be functions of the peer. What is empty is not sent.
        ca: PEM file with the authorities that the provider's https certificate must come from; left out,
            the system's, unless there is a `cert`.
        reuse: "until-expiry" keeps a token until shortly before its end; "never" fetches one for each
            association, for acceptors that take each once.
        peers, plaintext: as for `Jwt`.

    Raises `ConfigurationError` where one of them cannot be used.
    """

    issuer: str
    client_id: str
    peers: Sequence[str]
    client_secret: Given | None = field(default=None, repr=False)
    cert: Path | str | None = None
    key: Path | str | None = None
    scope: str = ""
    audience: For = ""
    resource: For = ""
    ca: Path | str | None = None
    reuse: Reuse = "until-expiry"
    plaintext: Plaintext = "refuse"
    _cache: TokenCache = field(default_factory=TokenCache, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_provider(self.peers, self.plaintext)
        check_url(self.issuer)
        if self.reuse not in get_args(Reuse):
            raise ConfigurationError(f'reuse is {self.reuse!r}; write "until-expiry" or "never"')
        if self.client_secret is not None:
            check_given(self.client_secret, "client_secret")
        elif self.cert is None:
            raise ConfigurationError("client_secret: missing; without it the client needs a certificate (cert, key)")
        _ = self._tls  # so that a file that cannot be used is told now

    @cached_property
    def _tls(self) -> ClientTls:
        return ClientTls(self.ca, self.cert, self.key)

    @abstractmethod
    def _grant(self) -> Mapping[str, str]:
        """The grant's own parameters."""

    def offer(self, peer: Peer) -> TokenOffer:
        """Raises `CredentialUnavailable` where a token may not be shown to `peer`, or none is issued."""
        check_may_see(peer, self.peers, self.plaintext)
        form = {**self._grant(), "scope": self.scope, "audience": _for(self.audience, peer)}
        form["resource"] = _for(self.resource, peer)
        body = urlencode({name: value for name, value in form.items() if value}).encode("ascii")
        if self.reuse == "never":
            return TokenOffer(self._fetch(body).token)
        # By digest: the body can hold the user's own token.
        return TokenOffer(self._cache.token(sha256(body).digest(), lambda: self._fetch(body)))

    def _fetch(self, body: bytes) -> Issued:
        begins = time.monotonic()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if self.client_secret is None:
            body += b"&" + urlencode({"client_id": self.client_id}).encode("ascii")
        else:
            headers["Authorization"] = self._basic(self.client_secret)
        try:
            endpoint = discovered(self.issuer, "token_endpoint", self._tls)
            response = request(endpoint, self._tls, body, headers)
        except FetchFailed as failed:
            raise CredentialUnavailable(str(failed)) from None
        token, seconds = _issued(response, endpoint)
        return Issued(token, begins, begins + seconds)

    def _basic(self, client_secret: Given) -> str:
        secret = revealed(client_secret, "the client_secret")
        if not isinstance(secret, bytes | str):
            raise CredentialUnavailable(f"the client_secret is a {type(secret).__name__}, not bytes or a string")
        return "Basic " + b64encode(f"{quote_plus(self.client_id)}:{quote_plus(secret)}".encode("ascii")).decode(
            "ascii"
        )


@dataclass(frozen=True, kw_only=True)
class OidcClientCredentials(OidcProvider):
    """Association requestor: a token for this application itself (RFC 6749 4.4). Fields as for `OidcProvider`."""

    def _grant(self) -> Mapping[str, str]:
        return {"grant_type": "client_credentials"}


@dataclass(frozen=True, kw_only=True)
class OidcTokenExchange(OidcProvider):
    """Association requestor: a token for a user who is signed in to this application (RFC 8693).

    The application gives the token it has of the user and gets one for the acceptor, which names the user
    as its subject; the user's own token never reaches a DICOM peer.

    Fields:
        subject_token: the user's token, or a callable that is asked for it for each association; with a
            context variable in it, one provider serves all users of a web application.
        subject_token_type: what kind of token that is (RFC 8693 3).
        The others as for `OidcProvider`.
    """

    subject_token: Given = field(repr=False)
    subject_token_type: str = ACCESS_TOKEN

    def __post_init__(self) -> None:
        super().__post_init__()
        check_given(self.subject_token, "subject_token")

    def _grant(self) -> Mapping[str, str]:
        token = revealed(self.subject_token, "the subject_token")
        if not token or not isinstance(token, bytes | str):
            raise CredentialUnavailable(f"the subject_token is {'empty' if not token else type(token).__name__}")
        text = token if isinstance(token, str) else token.decode("ascii", "replace")
        return {
            "grant_type": TOKEN_EXCHANGE,
            "subject_token": text,
            "subject_token_type": self.subject_token_type,
        }


def _for(parameter: For, peer: Peer) -> str:
    return parameter(peer) if callable(parameter) else parameter


def _issued(response: Answer, endpoint: str) -> tuple[bytes, float]:
    """The access token of a token response and for how many seconds it may be kept (RFC 6749 5.1, RFC 8693 2.2.1)."""
    try:
        answer = json_object(response.body)
    except Malformed as malformed:
        answer = {"error": f"status {response.status}, {malformed}"}
    if response.status != HTTPStatus.OK or "error" in answer:
        raise CredentialUnavailable(f"{endpoint} issued no token: {_error(answer)}")
    if str(answer.get("token_type")).lower() != "bearer":
        raise CredentialUnavailable(f"{endpoint} issued a token that is no bearer token, which DICOM cannot carry")
    if answer.get("issued_token_type", ACCESS_TOKEN) not in (ACCESS_TOKEN, JWT):
        raise CredentialUnavailable(f"{endpoint} issued another type of token than an access token (RFC 8693 3)")
    return token_octets(answer.get("access_token"), f"the token that {endpoint} issued"), _lifetime(answer)


def _error(answer: Mapping[str, Any]) -> str:
    """The provider's code of error (RFC 6749 5.2), never its free text, which could repeat what was sent."""
    return " ".join(re.findall(r"[A-Za-z0-9_ ,]{1,60}", str(answer.get("error")))[:1]) or "no reason given"


def _lifetime(answer: Mapping[str, Any]) -> float:
    """Seconds; none where the provider does not say, so that the token is used once."""
    seconds = answer.get("expires_in")
    return float(seconds) if type(seconds) is int and 0 < seconds <= LONGEST_LIFE else 0.0
