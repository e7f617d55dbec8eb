"""What an administrator may choose about audit messages: `[audit.message]`."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from useridentity.audit.codes import Code, local
from useridentity.audit.message.model import Source
from useridentity.errors import ConfigurationError

UserNames = Literal["dicom", "ihe"]
PurposeOfUse = Literal["omit", "ihe"]
Detail = Literal["minimal", "comprehensive"]

APPLICATION_SERVER = 4
"""AuditSourceTypeCode "application server process tier in multi-tier system" (PS3.15 A.5.1.2.1)."""


@dataclass(frozen=True, slots=True)
class MessageStyle:
    """How messages name this system, people and codes.

    Fields:
        source: this system (AuditSourceIdentification).
        user_name, purpose_of_use, detail: as in `MessageSettings`.
        roles, purposes: codes of local groups and of purposes of use; others get their own system, or one of ours.
    """

    source: Source = field(default_factory=lambda: Source(socket.gethostname()))
    user_name: UserNames = "dicom"
    purpose_of_use: PurposeOfUse = "omit"
    detail: Detail = "minimal"
    roles: Mapping[str, Code] = field(default_factory=dict)
    purposes: Mapping[str, Code] = field(default_factory=dict)

    def role(self, group: str) -> Code:
        """The RoleIDCode of a local group."""
        return self.roles.get(group) or local(group)

    def purpose_codes(self, words: Iterable[str]) -> list[Code]:
        """The codes of purposes of use, which an identity has alone and as system|code (`mechanisms.purposes`)."""
        qualified = {word.rpartition("|")[2]: word for word in words if "|" in word}
        return [self._purpose(qualified.get(word, word)) for word in words if word and "|" not in word]

    def _purpose(self, word: str) -> Code:
        system, _, code = word.rpartition("|")
        return self.purposes.get(code) or (Code(code, system, code) if system else local(code))


@dataclass(frozen=True, slots=True)
class MessageSettings:
    """The table `[audit.message]`.

    Fields:
        source: AuditSourceID; without one, the host's name.
        site: AuditEnterpriseSiteID.
        source_type: AuditSourceTypeCode, 1 to 9 (PS3.15 A.5.1.2.1).
        user_name: whose rule UserName follows: "dicom", the person's name (PS3.15 A.5.2.3), or "ihe",
            alias<user@issuer> for assertions and tokens (ITI-40 3.40.4.2, IUA 3.72.5.1).
        purpose_of_use: "ihe" sends IHE's element PurposeOfUse (ITI-20 3.20.7.1.2), which PS3.15's schema does not have.
        detail: how much of an assertion or token a FHIR AuditEvent keeps (BALP 3:5.7.4 and 3:5.7.5).
        roles: `group = ["CODE", "SYSTEM", "meaning"]`, the RoleIDCode of local groups.
        purposes: the same for purposes of use.

    Raises `ConfigurationError` with everything wrong in them.
    """

    source: str = ""
    site: str = ""
    source_type: int = APPLICATION_SERVER
    user_name: UserNames = "dicom"
    purpose_of_use: PurposeOfUse = "omit"
    detail: Detail = "minimal"
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    purposes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problems = [
            f'{table}.{name}: should be three strings, ["CODE", "SYSTEM", "meaning"]'
            for table, codes in (("roles", self.roles), ("purposes", self.purposes))
            for name, code in codes.items()
            if len(code) != len(Code._fields)
        ]
        if self.source_type not in range(1, 10):
            problems.append(f"source_type: {self.source_type} should be 1 to 9 (PS3.15 A.5.1.2.1)")
        if problems:
            raise ConfigurationError(problems)

    @property
    def style(self) -> MessageStyle:
        """The style that these settings ask for."""
        return MessageStyle(
            Source(self.source or socket.gethostname(), self.site, self.source_type),
            self.user_name,
            self.purpose_of_use,
            self.detail,
            {name: Code(*code) for name, code in self.roles.items()},
            {name: Code(*code) for name, code in self.purposes.items()},
        )
