"""What a policy file refers to: its validators, its store and its trail. Who loads it chooses how they are made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from useridentity.audit.settings import AuditSettings
from useridentity.audit.trail import Trail
from useridentity.errors import ConfigurationError
from useridentity.policy import Policy
from useridentity.settings import Runtime
from useridentity.state import Store, open_store
from useridentity.validator import Validator


@dataclass(frozen=True, slots=True)
class StateSettings:
    """The table `[state]`.

    Fields:
        url: where what must be remembered is kept: "memory:", "sqlite:FILE" or "redis://HOST".
    """

    url: str = "memory:"


class Parts(Protocol):
    """Makes what a policy file refers to; each method raises `ConfigurationError` with all that is wrong with it."""

    def validator(self, settings: Any, kind: str, runtime: Runtime) -> Validator:
        """The validator of a table; `settings` are those of the type `kind`."""

    def store(self, settings: StateSettings, folder: Path) -> Store | None:
        """Where what must be remembered is kept; None for the memory of each server alone."""

    def audit(self, settings: AuditSettings | None, folder: Path) -> Trail | None:
        """Where every association is recorded; `settings` are None where the file has no such table."""


class NewParts:
    """All of them as the file says: for a server that starts."""

    def validator(self, settings: Any, kind: str, runtime: Runtime) -> Validator:  # noqa: ARG002
        validator: Validator = settings.build(runtime)
        return validator

    def store(self, settings: StateSettings, folder: Path) -> Store | None:
        return open_store(settings.url, folder)

    def audit(self, settings: AuditSettings | None, folder: Path) -> Trail | None:
        return settings.open(folder) if settings is not None else None


class PartsInUse(NewParts):
    """New validators beside the store and the trail of `running`, which stay: for a policy that is read again."""

    def __init__(self, running: Policy) -> None:
        self._running = running
        self._source = running.source

    def store(self, settings: StateSettings, folder: Path) -> Store | None:  # noqa: ARG002
        if self._source is None or settings.url != self._source.state_url:
            # Its URL may hold a password: it is not repeated.
            raise ConfigurationError("is not the place in use; restart the program to move there")
        return self._running.store

    def audit(self, settings: AuditSettings | None, folder: Path) -> Trail | None:  # noqa: ARG002
        if self._source is None or settings != self._source.audit:
            raise ConfigurationError("is not what is in use; restart the program to change it")
        return self._running.audit
