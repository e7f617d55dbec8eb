"""A policy file as it is on a machine that has no keytab, no passcode file and no key, where it is written and tested.

Its rules are the real ones. Its validators stand in for those of the file: they are known by name and type, open
nothing, and are never asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from useridentity import config
from useridentity.audit.settings import AuditSettings
from useridentity.config import StateSettings
from useridentity.credential import Credential
from useridentity.errors import Unavailable
from useridentity.explain import IDENTITY_TYPES
from useridentity.facts import Facts
from useridentity.policy import Policy
from useridentity.toml_file import TomlFile
from useridentity.validator import CheckContext, Validator, Verified

TYPES: Mapping[str, int | None] = {**IDENTITY_TYPES, "certificate": None}
"""The User-Identity-Types of the built-in validator types; others are asked for theirs."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """In place of a validator.

    Fields:
        name, identity_type: the validator's.
        plaintext: "refuse" where it looks at nothing that comes without TLS.
    """

    name: str
    identity_type: int | None
    plaintext: str = "allow"
    cpu_short: bool = True

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
    return _Loader(TomlFile(path)).policy()


class _Loader(config._Loader):
    """The loader of servers, but for what would open a file or a connection."""

    def _built(self, settings: Any, name: str) -> Validator | None:
        kind = self._file.content["validator"][name]["type"]
        if kind not in TYPES:
            return super()._built(settings, name)
        return StandIn(name, TYPES[kind], getattr(settings, "plaintext", "allow"))

    def _store(self, settings: StateSettings) -> None:  # noqa: ARG002
        return None

    def _audit(self, settings: AuditSettings | None) -> None:  # noqa: ARG002
        return None
