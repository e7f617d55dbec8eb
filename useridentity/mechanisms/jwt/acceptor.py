"""Association acceptor: a JSON Web Token judged by the rules of RFC 8725 and RFC 9068."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from useridentity.claim_path import ClaimPath
from useridentity.credential import Credential, IdentityType
from useridentity.errors import ConfigurationError
from useridentity.facts import Facts
from useridentity.https import check_url
from useridentity.identity import Assurance
from useridentity.mechanisms.jwt.claims import (
    ABSENT,
    ACCESS_TOKEN,
    check_binding,
    check_claims,
    check_header,
    check_issuer,
    check_times,
    media_type,
    text,
)
from useridentity.mechanisms.jwt.compact import Token, parse, refusal
from useridentity.mechanisms.jwt.identity import Groups, groups_of, identity_of
from useridentity.mechanisms.jwt.key_source import FileKeys, KeySource
from useridentity.mechanisms.jwt.keys import KIND_OF_ALGORITHM
from useridentity.mechanisms.jwt.remote_keys import remote_keys
from useridentity.mechanisms.plaintext import Plaintext, check_arrival
from useridentity.mechanisms.username import presented_as
from useridentity.settings import Runtime, Seconds
from useridentity.tls.client import ClientTls
from useridentity.validator import CheckContext, Once, Verified

Reuse = Literal["until-expiry", "never"]
Binding = Literal["none", "certificate"]

LONGEST_LIFETIME = 24 * 3600.0
"""Seconds; who asks for more wants a password, not a token."""


@dataclass(frozen=True, slots=True)
class JwtSettings:
    """`type = "jwt"`: the tokens of one issuer.

    Fields:
        issuer: its identifier, compared exactly with `iss`; an https URL where keys are discovered.
        audience: must be in `aud`, so that a token meant for another server is worth nothing here.
        algorithms: the `alg` allowed, of `KIND_OF_ALGORITHM`; RS256, which every issuer has (RFC 9068 2.1).
        jwks: the issuer's keys: a JWK Set file, or an https URL; left out, OpenID Connect discovery.
        ca: PEM file with the authorities that the issuer's https certificate must come from; left out,
            the system's.
        typ: the `typ` allowed; "at+jwt" (RFC 9068 2.1), so that no ID token or other JWT of the issuer
            passes. Many issuers write "JWT"; "absent" stands for none.
        max_lifetime: from `iat` to `exp` at most; an hour, as IHE IUA has it: a stolen token ends.
        reuse: "until-expiry", since one token serves several associations; "never" takes each `jti` once.
        binding: "certificate" takes only tokens bound to the TLS client certificate (RFC 8705 3), which
            make a stolen one worthless; "none" since few issuers bind. A token that is bound is held to it
            either way.
        plaintext: "refuse" any token that came without TLS, where others could have read it; "allow" is
            for a wire that other means protect.
        groups: where the token has groups, and what they are called here; none without it.
    """

    issuer: str
    audience: str
    algorithms: tuple[str, ...] = ("RS256",)
    jwks: str | None = None
    ca: Path | None = None
    typ: tuple[str, ...] = (ACCESS_TOKEN,)
    max_lifetime: Seconds = 3600.0
    reuse: Reuse = "until-expiry"
    binding: Binding = "none"
    plaintext: Plaintext = "refuse"
    groups: Groups | None = None

    def build(self, runtime: Runtime) -> JwtValidator:
        """The validator; raises `ConfigurationError` with every problem found."""
        problems = list(self._problems())
        keys, path = None, None
        try:
            path = ClaimPath.read(self.groups.claim) if self.groups else None
        except ConfigurationError as error:
            problems += [f"groups.claim: {problem}" for problem in error.problems]
        try:
            keys = self._keys(runtime.folder)
        except ConfigurationError as error:
            problems += error.problems
        if problems or keys is None:
            raise ConfigurationError(problems)
        return JwtValidator(self, keys, runtime.name, path)

    def _keys(self, folder: Path) -> KeySource:
        if self.jwks is not None and "://" not in self.jwks:
            if self.ca is not None:
                raise ConfigurationError("ca: has no meaning where jwks is a file")
            return FileKeys(folder / self.jwks)
        check_url(self.jwks or self.issuer)
        return remote_keys(self.issuer, self.jwks, ClientTls(self.ca))

    def _problems(self) -> Iterator[str]:
        for name in ("issuer", "audience"):
            if not getattr(self, name):
                yield f"{name}: is empty"
        if isinstance(self.algorithms, str) or isinstance(self.typ, str):
            yield "algorithms and typ are lists of words, not one word"
            return
        if not self.algorithms:
            yield "algorithms: is empty, so no token could be accepted"
        for name in self.algorithms:
            if name not in KIND_OF_ALGORITHM:
                yield f"algorithms: {name!r} {_why_not(name)} (known: {', '.join(KIND_OF_ALGORITHM)})"
        if not self.typ or "" in self.typ:
            yield f'typ: holds nothing that could match; write "{ACCESS_TOKEN}", "JWT" or "{ABSENT}"'
        if not 0 < self.max_lifetime <= LONGEST_LIFETIME:
            yield f"max_lifetime: {self.max_lifetime:.0f} s is not within {LONGEST_LIFETIME / 3600:.0f} h"
        for name, words in (("reuse", Reuse), ("binding", Binding), ("plaintext", Plaintext)):
            if getattr(self, name) not in get_args(words):
                yield f"{name}: {getattr(self, name)!r} is none of {', '.join(get_args(words))}"
        if self.plaintext == "allow" and self.binding == "certificate":
            yield 'plaintext: "allow" has no meaning with binding = "certificate", which needs TLS'


def _why_not(algorithm: str) -> str:
    if algorithm.startswith("HS"):
        return "is symmetric: whoever can verify such a token can issue one, so it is not supported"
    if algorithm.lower() == "none":
        return "means unsigned, so it is not supported"
    return "is not supported"


class JwtValidator:
    """Judges the tokens of one issuer; made by `JwtSettings.build`.

    `issuer` is whose, `issuers` the same for the policy: a token of another one is refused before anything else is
    looked at, so that several validators stand side by side in one rule.
    """

    identity_type = IdentityType.JWT
    assurance = Assurance.AUTHENTICATED

    def __init__(self, settings: JwtSettings, keys: KeySource, name: str, group_path: ClaimPath | None) -> None:
        self.name = name
        self.issuer = settings.issuer
        self.issuers = frozenset({settings.issuer})
        self.cpu_short = not keys.may_wait
        self._settings = settings
        self._keys = keys
        self._group_path = group_path
        self._types = tuple(word if word == ABSENT else media_type(word) for word in settings.typ)

    def validate(self, presented: Credential | None, facts: Facts, context: CheckContext) -> Verified:
        """The token's subject, AUTHENTICATED; raises `Refused`, or `Unavailable` where its key cannot be had now."""
        credential = presented_as(IdentityType.JWT, presented)
        check_arrival("a token", facts, self._settings.plaintext)
        token = parse(credential.primary_field)
        check_issuer(token.claims, self.issuer)
        typ = check_header(token.header, self._settings.algorithms, self._types)
        self._check_signature(token, context)
        return self._verified(token, typ, facts)

    def _check_signature(self, token: Token, context: CheckContext) -> None:
        algorithm = token.header["alg"]
        key = self._keys.key(token.header.get("kid"), algorithm, context)
        if not key.verifies(algorithm, token.signing_input, token.signature):
            raise refusal("has a signature that is not its issuer's")

    def _verified(self, token: Token, typ: str, facts: Facts) -> Verified:
        claims, settings = token.claims, self._settings
        check_claims(claims, settings.audience, typ)
        ends = check_times(claims, facts.now.timestamp(), settings.max_lifetime)
        check_binding(claims, facts.peer_certificate, required=settings.binding == "certificate")
        expires_at = datetime.fromtimestamp(ends, UTC)
        once = (_once(self.issuer, claims, expires_at),) if settings.reuse == "never" else ()
        groups = groups_of(claims, self._group_path, settings.groups.map if settings.groups else {})
        return Verified(identity_of(claims, self.issuer, groups, expires_at), once=once, expires_at=expires_at)


def _once(issuer: str, claims: Mapping[str, Any], expires_at: datetime) -> Once:
    return Once((issuer, text(claims, "jti")), expires_at, datetime.fromtimestamp(claims["iat"], UTC))
