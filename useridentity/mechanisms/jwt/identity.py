"""The claims of a verified token into an `Identity`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from useridentity.claim_path import ClaimPath
from useridentity.credential import IdentityType
from useridentity.identity import Assurance, Identity, Kind
from useridentity.mechanisms.groups import local_groups
from useridentity.mechanisms.jwt.claims import MAX_TEXT, text
from useridentity.mechanisms.jwt.compact import refusal, shown
from useridentity.mechanisms.purposes import purposes_of

_NAMES = tuple(map(ClaimPath.read, ("name", "extensions.ihe_iua.subject_name", "preferred_username")))
"""Names to show: OpenID Connect Core 5.1, and IHE IUA 3.71.4.2.2.1.1."""

_PURPOSES = ClaimPath.read("extensions.ihe_iua.purpose_of_use[]")


@dataclass(frozen=True, slots=True)
class Groups:
    """Which external groups mean which local ones.

    Fields:
        claim: where the token has them, as `ClaimPath.read` takes it.
        map: external name to local name; what it does not name is dropped.
    """

    claim: str
    map: Mapping[str, str]


def identity_of(claims: Mapping[str, Any], issuer: str, groups: frozenset[str], expires_at: datetime) -> Identity:
    """Who the token's subject is: `sub`, unique within an issuer (OpenID Connect Core 2) as names are not."""
    user_id = text(claims, "sub")
    return Identity(
        subject=_qualified(issuer, user_id),
        user_id=user_id,
        issuer=issuer,
        assurance=Assurance.AUTHENTICATED,
        identity_type=IdentityType.JWT,
        display_name=next(_names(claims), ""),
        # A client acting for itself is its own subject (RFC 9068 2.2; IHE IUA 3.71.4.2.2.1).
        kind=Kind.SERVICE if claims.get("client_id") == user_id else Kind.PERSON,
        groups=groups,
        claims=dict(claims),
        purposes=purposes_of(_purposes(claims)),
        actor=_actor(claims, issuer),
        expires_at=expires_at,
        presented=user_id,
    )


def groups_of(claims: Mapping[str, Any], path: ClaimPath | None, allowed: Mapping[str, str]) -> frozenset[str]:
    """The local groups of a token's subject."""
    return local_groups(path.strings(claims), allowed) if path else frozenset()


def _qualified(issuer: str, subject: str) -> str:
    """No two pairs look the same: what separates them is escaped in the issuer, whose it should never be."""
    return f"{issuer.replace('#', '%23')}#{subject}"


def _names(claims: Mapping[str, Any]) -> Iterator[str]:
    """Those names that can be shown."""
    for path in _NAMES:
        for name in path.strings(claims):
            if name.isprintable() and len(name) <= MAX_TEXT:
                yield name


def _purposes(claims: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """System and code of the FHIR Codings of IHE IUA 3.71.4.2.2.1.1; what is none is left out."""
    for value in _PURPOSES.values(claims):
        if isinstance(value, Mapping) and isinstance(value.get("code"), str):
            system = value.get("system", "")
            yield system if isinstance(system, str) else "", value["code"]


def _actor(claims: Mapping[str, Any], issuer: str) -> Identity | None:
    """Who acts for the subject: the outermost `act`, those within it being history (RFC 8693 4.1).

    It is the token's issuer who says so: of another issuer's actor nothing is proved.
    """
    if "act" not in claims:
        return None
    act = claims["act"]
    if not isinstance(act, dict) or not isinstance(act.get("iss", issuer), str):
        raise refusal(f"has an act that names nobody: {shown(act)} (RFC 8693 4.1)")
    user_id, own = text(act, "sub"), text(act, "iss") if "iss" in act else issuer
    assurance = Assurance.AUTHENTICATED if own == issuer else Assurance.ASSERTED
    return Identity(_qualified(own, user_id), user_id, own, assurance, IdentityType.JWT, kind=Kind.SERVICE)
