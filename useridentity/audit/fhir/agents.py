"""AuditEvent.agent: the participants of a message, and the user as BALP's patterns of tokens have it.

An assertion and a token have patterns of their own (BALP 3:5.7.4, 3:5.7.5): who.identifier is issuer and subject,
policy the id of the assertion or token. Nobody has made one for a Kerberos ticket, a passcode or a certificate:
they get the agent "information recipient" that BALP has for any user, whose identifier is the qualified subject,
and no policy, since there is no token that a reader could look up.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from useridentity.audit.codes import APPLICATION
from useridentity.audit.fhir.terms import BALP, TERMINOLOGY, Json, coding, concept, identifier, uri, without_empty
from useridentity.audit.message.model import AccessPoint, Participant
from useridentity.audit.message.participants import access_point, is_proved
from useridentity.audit.message.style import MessageStyle
from useridentity.audit.message.text import visible
from useridentity.audit.record import Record, User

JTI = "urn:ietf:params:oauth:jti:"
"""Prefix of a policy that is a token's `jti` (BALP 3:5.7.5.2)."""

_AGENT_TYPES = f"{BALP}/CodeSystem/UserAgentTypes"
_OTHER_ID = f"{BALP}/StructureDefinition/ihe-otherId"
_ASSURANCE = f"{BALP}/StructureDefinition/ihe-assuranceLevel"
_RECIPIENT = {"system": f"{TERMINOLOGY}/v3-ParticipationType", "code": "IRCP", "display": "information recipient"}
_PROVIDER = {"system": f"{TERMINOLOGY}/v3-RoleClass", "code": "PROV", "display": "healthcare provider"}
_COMMUNITY = {"system": "urn:ihe:iti:xca:2010", "code": "homeCommunityId"}
_NPI = {"system": f"{TERMINOLOGY}/v2-0203", "code": "NPI"}
_PRN = {"system": f"{TERMINOLOGY}/v2-0203", "code": "PRN"}
_SUBJECT_ID = {"system": f"{BALP}/CodeSystem/OtherIdentifierTypes", "code": "SAML-subject-id"}

_SAML_AGENT, _OAUTH_AGENT = "UserSamlAgent", "UserOauthAgent"

_TOKENS = {"assertion": (_SAML_AGENT, ""), "jti": (_OAUTH_AGENT, JTI), "opaque": (_OAUTH_AGENT, "")}
"""By the form of the credential's id: the type of agent, and what stands before the id."""

_URI_CHARACTERS = "!#$%&'()*+,/:;=?@[]~"
"""What a policy, a FHIR uri, may have beside letters and numbers."""


def process_agent(participant: Participant, *, requestor: bool) -> Json:
    """A process or machine."""
    return without_empty(
        {
            "type": concept(coding(participant.roles[0])) if participant.roles else None,
            "who": {"identifier": identifier(participant.user_id)},
            "altId": visible(participant.alternative_user_id),
            "name": visible(participant.user_name),
            "network": _network(participant.access_point),
        }
    ) | {"requestor": requestor}


def _network(point: AccessPoint | None) -> Json | None:
    return {"address": visible(point.id), "type": f"{point.type:d}"} if point else None


def user_agents(participant: Participant, record: Record, style: MessageStyle) -> list[Json]:
    """The user, who is always the requestor (BALP), with what else belongs to the token."""
    user = record.user
    if not _has_token(user):
        return [_plain(participant, user, style)]
    kind, prefix = _TOKENS[user.credential_form]
    agents = [_token_user(kind, prefix + user.credential_id, participant, user, style)]
    return agents + (_beside(record) if _comprehensive(user, style) else [])


def profile(user: User, style: MessageStyle) -> str:
    """The BALP profile that the agents of `user_agents` fulfil; empty where there is none."""
    if not _has_token(user):
        return ""
    kind = "SAML" if user.credential_form == "assertion" else "OAUTH"
    name = (
        "Opaque" if user.credential_form == "opaque" else "Comprehensive" if _comprehensive(user, style) else "Minimal"
    )
    return f"{BALP}/StructureDefinition/IHE.BasicAudit.{kind}accessTokenUse.{name}"


def _has_token(user: User) -> bool:
    """Whether the user was proved by something with an id, which all the patterns demand."""
    return is_proved(user) and user.credential_form in _TOKENS and bool(user.credential_id.strip())


def _comprehensive(user: User, style: MessageStyle) -> bool:
    """A token without a client_id has no place in the comprehensive pattern, which demands its client."""
    enough = user.credential_form == "assertion" or (user.credential_form == "jti" and _first(user, "client_id") != "")
    return style.detail == "comprehensive" and enough


def _plain(participant: Participant, user: User, style: MessageStyle) -> Json:
    """A user without a token: proved, or only claimed."""
    value = user.subject if is_proved(user) else participant.user_id
    agent = _user(identifier(value), user, style, _roles(participant))
    login = participant.user_id if participant.user_id != value else ""
    return without_empty(agent | {"altId": visible(login)})


def _user(who: Json, user: User, style: MessageStyle, roles: Sequence[Json]) -> Json:
    return without_empty(
        {
            "type": concept(_RECIPIENT),
            "role": list(roles),
            "who": without_empty({"identifier": who, "display": visible(user.display_name)}),
            "name": visible(user.display_name),
            "requestor": True,
            "purposeOfUse": [concept(coding(code)) for code in style.purpose_codes(user.purposes)],
        }
    )


def _roles(participant: Participant) -> list[Json]:
    return [concept(coding(role)) for role in participant.roles]


def _token_user(agent_type: str, policy: str, participant: Participant, user: User, style: MessageStyle) -> Json:
    """BALP's `user` slice: of type UserSamlAgent or UserOauthAgent beside the general one."""
    comprehensive = _comprehensive(user, style)
    # In the minimal pattern of an assertion roles are discouraged; a token's are in both.
    roles = _roles(participant) if comprehensive or agent_type is _OAUTH_AGENT else []
    roles += [{"text": visible(role)} for role in _all(user, "role") if comprehensive]
    agent = _user(identifier(user.user_id, _issuer(user)), user, style, roles)
    kind = concept(_RECIPIENT, {"system": _AGENT_TYPES, "code": agent_type})
    extension = _extensions(user) if comprehensive else []
    return without_empty(
        agent | {"type": kind, "policy": [quote(visible(policy), safe=_URI_CHARACTERS)], "extension": extension}
    )


def _beside(record: Record) -> list[Json]:
    """What the comprehensive patterns have beside the user: a token's client, as its machine is known; his
    organization; an assertion's home communities."""
    user = record.user
    if user.credential_form == "assertion":
        communities = [{"identifier": identifier(each)} for each in _all(user, "home_community_id")]
        return [*_organization(user), *(_other(_COMMUNITY, each) for each in communities)]
    client = _other(coding(APPLICATION), {"identifier": identifier(_first(user, "client_id"))})
    network = _network(access_point(record.requestor.address))
    return [without_empty(client | {"network": network}), *_organization(user)]


def _extensions(user: User) -> list[Json]:
    """AuthnContextClassRef and the user's other identifiers."""
    levels = [
        {"url": _ASSURANCE, "valueCodeableConcept": {"text": visible(each)}} for each in _all(user, "assurance_level")
    ]
    subject = (user.display_name,) if user.credential_form == "assertion" and user.display_name else ()
    others = ((_SUBJECT_ID, subject), (_NPI, _all(user, "npi")), (_PRN, _all(user, "provider_identifier")))
    return levels + [
        {"url": _OTHER_ID, "valueIdentifier": identifier(value, kind=concept(kind))}
        for kind, values in others
        for value in values
    ]


def _organization(user: User) -> list[Json]:
    """The user's organization, where both its name and its id are known, which the pattern demands."""
    name, number = _first(user, "organization"), _first(user, "organization_id")
    return [_other(_PROVIDER, {"identifier": identifier(number), "display": visible(name)})] if name and number else []


def _other(kind: Json, who: Json) -> Json:
    return {"type": concept(kind), "who": who, "requestor": False}


def _issuer(user: User) -> str:
    """who.identifier.system: a URI; an issuer that is none is written as one, as BALP's examples do it."""
    return uri(user.issuer) or f"urn:useridentity:issuer:{quote(user.issuer, safe='')}"


def _all(user: User, name: str) -> tuple[str, ...]:
    return tuple(value for value in user.attributes.get(name, ()) if value)


def _first(user: User, name: str) -> str:
    return next(iter(_all(user, name)), "")
