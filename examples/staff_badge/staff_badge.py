"""A mechanism of one's own: a badge's number is sent as the username, its PIN as the passcode."""

import csv
import hmac
from dataclasses import dataclass
from pathlib import Path

from useridentity import Assurance, CheckContext, Credential, Facts, Identity, Reason, Refused, Verified
from useridentity.settings import Runtime


@dataclass(frozen=True)
class BadgeValidator:
    name: str
    badges: dict[str, tuple[str, str]]  # number: (PIN, user)
    identity_type: int = 2  # PS3.7 Table D.3-14: username and passcode
    cpu_short: bool = True  # never waits, so it needs no thread of its own

    def validate(self, presented: Credential | None, facts: Facts, context: CheckContext) -> Verified:
        if presented is None:
            raise Refused(Reason.IDENTITY_REQUIRED, "no badge was shown")
        pin, user = self.badges.get(presented.primary_field.decode("ascii", "replace"), ("", ""))
        if not pin or not hmac.compare_digest(pin.encode(), presented.secondary_field):
            raise Refused(Reason.CREDENTIAL_INVALID, "unknown badge or wrong PIN")
        return Verified(Identity(f"{self.name}:{user}", user, self.name, Assurance.AUTHENTICATED, 2))


@dataclass(frozen=True)
class BadgeSettings:
    """`type = "badge"` in a policy file; `badges` is a CSV file: number, PIN, user."""

    badges: Path

    def build(self, runtime: Runtime) -> BadgeValidator:
        rows = csv.reader(self.badges.read_text().splitlines())
        return BadgeValidator(runtime.name, {number: (pin, user) for number, pin, user in rows})
