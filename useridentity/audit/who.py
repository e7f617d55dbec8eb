"""Who a record is about: what was presented, what was proved, and never a credential."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from useridentity.audit.record import ATTRIBUTES, User, text
from useridentity.claim_path import ClaimPath
from useridentity.credential import Credential, IdentityType
from useridentity.identity import Identity
from useridentity.log import presented_name

OPAQUE_TAIL = 32
"""Characters of an opaque token that are recorded (IHE BALP 3:5.7.4.3)."""

OPAQUE_WHOLE = 2 * OPAQUE_TAIL
"""Characters of a token of which so many may be told: as many must stay unknown."""

MAX_VALUES = 32
"""Groups, purposes and values of one attribute that are kept."""

_IUA = "extensions.ihe_iua."
_BPPC = "extensions.ihe_bppc."

_OF_TOKENS: Mapping[str, str] = {
    "alias": "aud",
    "client_id": "client_id",
    "role": f"{_IUA}subject_role[].code",
    "organization": f"{_IUA}subject_organization",
    "organization_id": f"{_IUA}subject_organization_id",
    "npi": f"{_IUA}national_provider_identifier",
    "home_community_id": f"{_IUA}home_community_id",
    "patient_id": f"{_BPPC}patient_id",
    "consent_document_id": f"{_BPPC}doc_id",
    "consent_policy": f"{_BPPC}acp",
    "assurance_level": "acr",
}
"""Where a token has each attribute (IHE IUA 3.71.4.2.2.1; RFC 9068 2.2.1)."""

_OF_ASSERTIONS: Mapping[str, str] = {name: name for name in ATTRIBUTES} | {"assurance_level": "authn_context"}
"""Where the claims of an assertion's identity have it."""

_PATHS = {
    form: tuple((name, ClaimPath.read(path)) for name, path in table.items())
    for form, table in ((IdentityType.JWT, _OF_TOKENS), (IdentityType.SAML, _OF_ASSERTIONS))
}


def user_of(credential: Credential | None, identity: Identity | None = None, emergency: str = "") -> User:
    """The user of an association: `credential` was presented, `identity` proved, if any was."""
    kind = credential.identity_type if credential else None
    if identity is None:
        form, own_id = _opaque(credential)
        return User(kind, text(presented_name(credential)), credential_form=form, credential_id=own_id)
    form, own_id = _credential_id(identity, credential)
    return User(
        identity_type=kind,
        presented=text(identity.presented or presented_name(credential)),
        subject=text(identity.subject),
        user_id=text(identity.user_id),
        display_name=text(identity.display_name),
        issuer=text(identity.issuer),
        assurance=identity.assurance.value,
        kind=identity.kind.value,
        groups=_texts(sorted(identity.groups)),
        purposes=_texts(sorted(identity.purposes)),
        emergency=text(emergency),
        actor=text(identity.actor.subject) if identity.actor else "",
        credential_form=form,
        credential_id=own_id,
        attributes=dict(_attributes(identity)),
    )


def _credential_id(identity: Identity, credential: Credential | None) -> tuple[str, str]:
    """What names the credential without being it."""
    for form, claim, kind in (("jti", "jti", IdentityType.JWT), ("assertion", "assertion_id", IdentityType.SAML)):
        found = identity.claims.get(claim)
        if identity.identity_type == kind and isinstance(found, str) and found:
            return form, text(found)
    return _opaque(credential)


def _opaque(credential: Credential | None) -> tuple[str, str]:
    """The end of a token, which ends in its signature; nothing of one so short that this would tell it."""
    if credential is None or credential.identity_type != IdentityType.JWT:
        return "", ""
    token = credential.primary_field.rstrip(b"\0 ")
    if len(token) < OPAQUE_WHOLE:
        return "", ""
    return "opaque", token[-OPAQUE_TAIL:].decode("utf-8", "backslashreplace")


def _attributes(identity: Identity) -> Iterator[tuple[str, tuple[str, ...]]]:
    paths = _PATHS.get(identity.identity_type or 0, ())  # type: ignore[call-overload]
    for name, path in paths:
        if found := _texts(sorted(path.strings(identity.claims))):
            yield name, found


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(text(value) for value, _ in zip(values, range(MAX_VALUES), strict=False))
