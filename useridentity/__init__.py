"""User identity in DICOM association negotiation (PS3.7 D.3.3.7): sent, verified, enforced, attributed.

What an application needs is here; the adapter for pynetdicom is `useridentity.pynetdicom`. Mechanisms
are loaded when they are first named, because some need libraries that not everybody has installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from useridentity.credential import Confirmation, Credential, CredentialProvider, IdentityType, Offer
from useridentity.decision import Accepted, Answer, Decision, Reason, Rejected
from useridentity.errors import (
    ConfigurationError,
    CredentialUnavailable,
    NotConfirmed,
    Refused,
    Unavailable,
    UserIdentityError,
    WireError,
)
from useridentity.facts import Facts, Peer, Proposal, Tls
from useridentity.identity import Assurance, Identity, Kind
from useridentity.permission import Destination, Permission
from useridentity.policy import Limits, Policy
from useridentity.policy.match import BreakGlass, When, Who
from useridentity.policy.rules import Assign, Grant, Rule, Unproved
from useridentity.scope import Scope
from useridentity.state import open_store
from useridentity.state.limits import PenaltyLimits
from useridentity.validator import CheckContext, FunctionValidator, Once, Validator, Verified

if TYPE_CHECKING:
    from useridentity.mechanisms.jwt import Jwt, JwtFile, OidcClientCredentials, OidcTokenExchange
    from useridentity.mechanisms.kerberos import Kerberos
    from useridentity.mechanisms.passcode import PasscodeValidator, User, UsernamePasscode, passcode_check
    from useridentity.mechanisms.passcode_file import PasscodeFile
    from useridentity.mechanisms.saml import Saml
    from useridentity.mechanisms.username import Username, UsernameValidator

__all__ = [
    "Confirmation", "Credential", "CredentialProvider", "IdentityType", "Offer",
    "Accepted", "Answer", "Decision", "Reason", "Rejected",
    "ConfigurationError", "CredentialUnavailable", "NotConfirmed", "Refused", "Unavailable", "UserIdentityError",
    "WireError",
    "Facts", "Peer", "Proposal", "Tls",
    "Assurance", "Identity", "Kind",
    "Assign", "BreakGlass", "Destination", "Grant", "Limits", "Permission", "Policy", "Rule", "Scope", "Unproved",
    "When", "Who",
    "PenaltyLimits", "open_store",
    "CheckContext", "FunctionValidator", "Once", "Validator", "Verified",
    "Jwt", "JwtFile", "Kerberos", "OidcClientCredentials", "OidcTokenExchange", "Saml",
    "PasscodeFile", "PasscodeValidator", "User", "Username", "UsernamePasscode", "UsernameValidator", "passcode_check",
]  # fmt: skip

_MECHANISMS = {
    "Jwt": "jwt",
    "JwtFile": "jwt",
    "Kerberos": "kerberos",
    "OidcClientCredentials": "jwt",
    "OidcTokenExchange": "jwt",
    "Saml": "saml",
    "Username": "username",
    "UsernameValidator": "username",
    "PasscodeValidator": "passcode",
    "User": "passcode",
    "UsernamePasscode": "passcode",
    "passcode_check": "passcode",
    "PasscodeFile": "passcode_file",
}


def __getattr__(name: str) -> object:
    if name not in _MECHANISMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"useridentity.mechanisms.{_MECHANISMS[name]}"), name)
