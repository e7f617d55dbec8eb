"""What both sides need of the GSS-API library: names, and its errors in words and reasons."""

from __future__ import annotations

import re
from typing import Any

from useridentity.decision import Reason
from useridentity.errors import ConfigurationError, Refused, Unavailable

try:
    import gssapi
    from gssapi import raw
    from gssapi.raw.misc import GSSError as Error
except ImportError as error:
    raise ModuleNotFoundError(
        "Kerberos needs python-gssapi: pip install 'useridentity[kerberos]' "
        "(it is compiled: apt-get install gcc python3-dev libkrb5-dev, or their like, first)",
        name="gssapi",
    ) from error

__all__ = [
    "KERBEROS", "CredentialStore", "Error", "Flag",
    "explain", "gssapi", "raw", "service_name", "target_name", "verdict",
]  # fmt: skip

KERBEROS = gssapi.MechType.kerberos
Flag = gssapi.RequirementFlag
CredentialStore = dict[bytes | str, bytes | str]

KRB5_ERRORS = -1765328384
"""Where the library's own errors begin; the first 128 are those of the protocol (RFC 4120 7.5.9)."""
TICKET_EXPIRED, REPEATED, CLOCK_SKEW = 32, 34, 37  # KRB_AP_ERR_TKT_EXPIRED, _REPEAT, _SKEW (RFC 4120 7.5.9)
OUR_TROUBLES = {
    45,  # KRB_AP_ERR_NOKEY, which MIT Kerberos reports where the keytab cannot be read
    *range(160, 174),  # KRB5_RC_...: the replay cache
    *range(178, 185),  # KRB5_KT_...: the keytab
}
MAX_ERRNO = 4095
"""Minor codes up to here are the operating system's: no such file, no space, no memory."""

NO_REASON = {"Success", "Unknown error"}
"""What the library says where it has nothing to say."""

_REASONS = {
    TICKET_EXPIRED: Reason.CREDENTIAL_EXPIRED,
    CLOCK_SKEW: Reason.CREDENTIAL_EXPIRED,
    REPEATED: Reason.REPLAYED,
}


def service_name(service: str) -> gssapi.Name:
    """The service `name@host` (RFC 2743 4.1); raises `ConfigurationError` where it is written otherwise."""
    if not re.fullmatch(r"[^\s/@]+@[^\s/@]+", service):
        raise ConfigurationError(
            f'service {service!r} should be a name and a full host name, such as "dicom@pacs.example.org"'
        )
    return gssapi.Name(service, gssapi.NameType.hostbased_service)


def target_name(context: Any) -> Any:
    """The service's name in a context; asking for nothing else saves a third of the time a ticket takes."""
    return raw.inquire_context(
        context, initiator_name=False, lifetime=False, mech=False, flags=False, locally_init=False, complete=False
    ).target_name


def explain(error: Error) -> str:
    """What the library says went wrong, without its numbers."""
    words = [*error.get_all_statuses(error.min_code, False), *error.get_all_statuses(error.maj_code, True)]
    return next(word for word in words if word not in NO_REASON)


def verdict(error: Error) -> Refused | Unavailable:
    """What the failure to accept a token says: that the token is wrong, or that this cannot be told."""
    code = error.min_code - 2**32 - KRB5_ERRORS
    if code in OUR_TROUBLES or 0 < error.min_code <= MAX_ERRNO:
        return Unavailable(f"the Kerberos library cannot judge the ticket: {explain(error)}")
    return Refused(_REASONS.get(code, Reason.CREDENTIAL_INVALID), explain(error))
