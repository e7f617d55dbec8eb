"""Who is at the other end of an association, as far as that was proved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum


class Assurance(Enum):
    """How an identity came to be believed; members are ordered from least to most."""

    UNPROVED = "unproved"
    """Nothing was proved: let in by a rule with `unproved`, or by `Policy.unguarded()`."""
    ASSIGNED = "assigned"
    """Given by the policy (`assign`) to a device that cannot identify itself."""
    ASSERTED = "asserted"
    """Claimed and not contradicted: a bare username (PS3.15 B.4)."""
    AUTHENTICATED = "authenticated"
    """Proved by a passcode, ticket, assertion, token or certificate."""


class Kind(Enum):
    """What an identity stands for."""

    PERSON = "person"
    NODE = "node"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Identity:
    """The user of an association, as proved to the acceptor.

    Fields:
        subject: qualified by its issuer ("staff:alice", "alice@EXAMPLE.ORG"), so that two issuers
            can never mean each other's users.
        user_id: the user's name within the issuer, from the store, directory, principal or token.
        issuer: who vouches for it: a validator's name, a realm, an IdP's identifier.
        assurance: how it was proved.
        identity_type: the User-Identity-Type it came by (PS3.7 Table D.3-14), None for a TLS
            client certificate and for identities nobody presented.
        groups: local group names; external ones get here only by a validator's allow-list map.
        claims: further attributes of the credential; kept out of `repr`.
        purposes: codes of the purpose of use that the credential states (IHE XUA, IUA), each alone and as
            `system|code`.
        actor: who acts for this user, where the credential says so (RFC 8693 4.1).
        expires_at: when the proof ends, aware, or None.
        presented: what the peer claimed, escaped, kept apart from what was proved; for audit only.
    """

    subject: str
    user_id: str
    issuer: str
    assurance: Assurance
    identity_type: int | None = None
    display_name: str = ""
    kind: Kind = Kind.PERSON
    groups: frozenset[str] = frozenset()
    claims: Mapping[str, object] = field(default_factory=dict, repr=False, hash=False)
    purposes: frozenset[str] = frozenset()
    actor: Identity | None = None
    expires_at: datetime | None = None
    presented: str = ""
