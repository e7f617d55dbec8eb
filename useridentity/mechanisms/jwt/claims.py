"""What a token's header and claims must say (RFC 7519 4.1, RFC 8725 3, RFC 9068 2.2 and 4, RFC 8705 3.1)."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Any

from useridentity.decision import Reason
from useridentity.mechanisms.jwt.compact import refusal, shown
from useridentity.mechanisms.jwt.keys import MAX_KID

SKEW = 60
"""Seconds that the clocks of issuer and acceptor may differ. Both keep time (PS3.15 Consistent Time asks for
better than a second); a minute is what other verifiers allow, and no reason is known to allow more."""

ABSENT = "absent"
"""What stands in the list of allowed `typ` for a token that has none; no media type is called that."""

MAX_TEXT = 256
"""Characters of `sub`, `jti`, `client_id`: OpenID Connect Core 2 ends `sub` at 255."""

LAST_SECOND = 253_402_300_799
"""The last second of the year 9999, beyond which there is no date to compare with."""

ACCESS_TOKEN = "at+jwt"  # noqa: S105  a media type, no secret


def media_type(typ: str) -> str:
    """A `typ` in the form in which types are compared: short and in lower case (RFC 7515 4.1.9)."""
    return typ.lower().removeprefix("application/")


def check_header(header: Mapping[str, Any], algorithms: Collection[str], types: Collection[str]) -> str:
    """The `typ` of a token; raises `Refused` where its header is not one that may be verified.

    What says where to get a key (`jku`, `x5u`, `jwk`, `x5c`) is ignored, as RFC 7515 4 has it for what is not
    understood: some issuers send it with every token, and keys come from the configured place only.
    """
    if "crit" in header:
        raise refusal(f"needs an extension to be understood: crit is {shown(header['crit'])} (RFC 7515 4.1.11)")
    typ = media_type(str(header["typ"])) if "typ" in header else ABSENT
    if typ not in types or (typ == ABSENT and "typ" in header):
        raise refusal(f"has the typ {shown(header.get('typ'))}; allowed: {', '.join(types)} (RFC 8725 3.11)")
    if header.get("alg") not in algorithms:
        raise refusal(f"has the alg {shown(header.get('alg'))}; allowed: {', '.join(algorithms)} (RFC 8725 3.1)")
    kid = header.get("kid", "")
    if not isinstance(kid, str) or len(kid) > MAX_KID:
        raise refusal(f"has a kid that is no string of at most {MAX_KID} characters")
    return typ


def check_issuer(claims: Mapping[str, Any], issuer: str) -> None:
    """Raises `Refused` for a token of another issuer (RFC 9068 4: compared exactly)."""
    if claims.get("iss") != issuer:
        raise refusal(f"is of the issuer {shown(claims.get('iss'))}, not of {issuer}", Reason.ISSUER_UNKNOWN)


def check_claims(claims: Mapping[str, Any], audience: str, typ: str) -> None:
    """Raises `Refused` unless the token is for this audience and names its subject.

    `client_id` and `jti` are required where the token says it is an access token of RFC 9068 (2.2).
    """
    audiences = claims.get("aud")
    audiences = [audiences] if isinstance(audiences, str) else audiences
    if not isinstance(audiences, list) or not all(isinstance(each, str) for each in audiences):
        raise refusal("has no aud that is a string or a list of strings (RFC 7519 4.1.3)")
    if audience not in audiences:
        raise refusal(f"is for the audience {shown(audiences)}, not for {audience}")
    for name in ("sub", "client_id", "jti") if typ == ACCESS_TOKEN else ("sub",):
        text(claims, name)


def text(claims: Mapping[str, Any], name: str) -> str:
    """A claim that must be a name: printable and not endless; raises `Refused`."""
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or not value.isprintable():
        raise refusal(f"has no {name} of 1 to {MAX_TEXT} printable characters")
    return value


def check_times(claims: Mapping[str, Any], now: float, max_lifetime: float) -> float:
    """Until when the token is accepted, in seconds since the epoch; raises `Refused` outside its time."""
    issued, expires = _instant(claims, "iat"), _instant(claims, "exp")
    begins = _instant(claims, "nbf") if "nbf" in claims else issued
    if not 0 < expires - issued <= max_lifetime:
        raise refusal(f"lives for {expires - issued:.0f} s (exp - iat), at most {max_lifetime:.0f} s are allowed")
    if max(begins, issued) > now + SKEW:
        raise refusal(f"begins in {max(begins, issued) - now:.0f} s; the clocks may differ by {SKEW} s")
    if now > expires + SKEW:
        raise refusal(f"ended {now - expires:.0f} s ago", Reason.CREDENTIAL_EXPIRED)
    return expires + SKEW


def _instant(claims: Mapping[str, Any], name: str) -> float:
    """A NumericDate (RFC 7519 2)."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LAST_SECOND:
        raise refusal(f"has no {name} that is a NumericDate (RFC 7519 2)")
    return float(value)


def check_binding(claims: Mapping[str, Any], certificate: bytes, *, required: bool) -> None:
    """Raises `Refused` unless the token's `cnf` is the TLS client certificate (DER), or it has none and may.

    A token that is bound is never taken as a bearer's, whatever was configured: the binding is its issuer's word.
    """
    confirmation = claims.get("cnf")
    if confirmation is None:
        if required:
            raise refusal("is bound to no TLS client certificate (cnf.x5t#S256, RFC 8705 3.1)")
        return
    if not isinstance(confirmation, dict) or set(confirmation) != {"x5t#S256"}:
        raise refusal(f"is bound by {shown(confirmation)}; DICOM can prove only cnf.x5t#S256 (RFC 8705 3.1)")
    if not certificate:
        raise refusal("is bound to a TLS client certificate, and none was shown")
    thumbprint = urlsafe_b64encode(sha256(certificate).digest()).rstrip(b"=").decode("ascii")
    if confirmation["x5t#S256"] != thumbprint:
        raise refusal("is bound to another TLS client certificate (RFC 8705 3)")
