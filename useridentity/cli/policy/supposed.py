"""A policy file as it is on a machine that has no keytab, no passcode file and no key, where it is written and tested.

Its rules are the real ones. Its validators stand in for those of the file: they are known by name and type, open
nothing, and are never asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from useridentity.audit.settings import AuditSettings
from useridentity.config import load_policy
from useridentity.config.parts import NewParts, StateSettings
from useridentity.credential import Credential, IdentityType
from useridentity.errors import Unavailable
from useridentity.facts import Facts
from useridentity.identity import Assurance
from useridentity.policy import Policy
from useridentity.policy.explain import IDENTITY_TYPES
from useridentity.settings import Runtime
from useridentity.validator import CheckContext, Validator, Verified

TYPES: Mapping[str, int | None] = {**IDENTITY_TYPES, "certificate": None}
"""The User-Identity-Types of the built-in validator types; others are asked for theirs."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """In place of a validator.

    Fields:
        name, identity_type: the validator's.
        plaintext: "refuse" where it looks at nothing that comes without TLS.
        binding: "certificate" where it takes nothing that is not bound to a TLS client certificate.
    """

    name: str
    identity_type: int | None
    plaintext: str = "allow"
    binding: str = "none"
    cpu_short: bool = True

    @property
    def assurance(self) -> Assurance:
        """As those of its type give."""
        return Assurance.ASSERTED if self.identity_type == IdentityType.USERNAME else Assurance.AUTHENTICATED

    @property
    def issuers(self) -> frozenset[str]:
        """Its own, so that no two are taken for overlapping: `policy check` knows whether they are."""
        return frozenset({self.name})

    def validate(self, presented: Credential | None, facts: Facts, context: CheckContext) -> Verified:  # noqa: ARG002
        raise Unavailable(f"{self.name} stands in for a validator and knows nobody")


def load(path: Path) -> Policy:
    """The policy in a file, with validators that stand in for its own.

    Raises `ConfigurationError` with everything wrong in the file itself; what it refers to is not looked at.
    """
    return load_policy(path, _Supposed())


class _Supposed(NewParts):
    """Nothing that would open a file or a connection, but for what another package makes."""

    def validator(self, settings: Any, kind: str, runtime: Runtime) -> Validator:
        if kind not in TYPES:
            return super().validator(settings, kind, runtime)
        said = {word: getattr(settings, word) for word in ("plaintext", "binding") if hasattr(settings, word)}
        return StandIn(runtime.name, TYPES[kind], **said)

    def store(self, settings: StateSettings, folder: Path) -> None:  # noqa: ARG002
        return None

    def audit(self, settings: AuditSettings | None, folder: Path) -> None:  # noqa: ARG002
        return None
