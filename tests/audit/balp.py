"""What IHE's BALP 1.1.4 demands of AuditEvents that claim one of its patterns of access tokens, slice by slice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

BASE = "https://profiles.ihe.net/ITI/BALP"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
SAML_AGENT = (f"{BASE}/CodeSystem/UserAgentTypes", "UserSamlAgent")
OAUTH_AGENT = (f"{BASE}/CodeSystem/UserAgentTypes", "UserOauthAgent")
RECIPIENT = (f"{TERMINOLOGY}/v3-ParticipationType", "IRCP")
PROVIDER = (f"{TERMINOLOGY}/v3-RoleClass", "PROV")
APPLICATION = ("http://dicom.nema.org/resources/ontology/DCM", "110150")
COMMUNITY = ("urn:ihe:iti:xca:2010", "homeCommunityId")
BESIDE = ("role", "altId", "name", "location", "policy", "media", "network", "purposeOfUse")

JTI = re.compile(r"urn:ietf:params:oauth:jti:\S+")
OPAQUE = re.compile(r"\S{32}")
URI = re.compile(r"\S+")


@dataclass(frozen=True)
class Slice:
    """agent[name]: how many, whose type has `code`, what each shall have, by path, and what it shall not have."""

    name: str
    code: tuple[str, str]
    least: int
    most: int
    requestor: bool
    has: tuple[str, ...]
    lacks: tuple[str, ...]
    policy: re.Pattern[str] | None = None


def user(name: str, code: tuple[str, str], least: int, policy: re.Pattern[str], *lacks: str) -> Slice:
    has = ("who.identifier.value", "policy")
    return Slice(name, code, least, 1, True, has, ("media", "network", *lacks), policy)


SAML_USER = user("user", SAML_AGENT, 1, URI, "altId")
COMPREHENSIVE_SAML = (
    SAML_USER,
    Slice("userorg", PROVIDER, 0, 99, False, ("who.display", "who.identifier.value"), BESIDE),
    Slice("homeCommunityId", COMMUNITY, 0, 99, False, ("who.identifier",), BESIDE),
)
COMPREHENSIVE_OAUTH = (
    # 1.1.4 has the network of oClient as must support: what is known of the TCP connection.
    Slice("oClient", APPLICATION, 1, 1, False, ("who.identifier.value", "network.address"), ("media",)),
    user("oUser", RECIPIENT, 0, JTI),
    user("oUser", OAUTH_AGENT, 1, JTI, "altId"),
)
PATTERNS = {
    "SAMLaccessTokenUse.Minimal": (SAML_USER,),
    "SAMLaccessTokenUse.Comprehensive": COMPREHENSIVE_SAML,
    "OAUTHaccessTokenUse.Minimal": (user("oUser", OAUTH_AGENT, 1, JTI, "altId"),),
    "OAUTHaccessTokenUse.Opaque": (user("oUser", OAUTH_AGENT, 1, OPAQUE, "altId"),),
    "OAUTHaccessTokenUse.Comprehensive": COMPREHENSIVE_OAUTH,
}
OTHER_IDS = {"SAML-subject-id", "NPI", "PRN"}
CONSENT_DETAILS = {"urn:ihe:iti:xua:2012:acp", "urn:oasis:names:tc:xacml:2.0:resource:resource-id"}


def codes(concept: Json) -> set[tuple[str, str]]:
    return {(each["system"], each["code"]) for each in concept.get("coding", [])}


def agents(resource: Json, code: tuple[str, str]) -> list[Json]:
    """The agents whose type has this code."""
    return [each for each in resource["agent"] if code in codes(each.get("type", {}))]


def _at(value: Json, path: str) -> Any:
    found: Any = value
    for step in path.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _slice_problems(resource: Json, wanted: Slice) -> Iterator[str]:
    found = agents(resource, wanted.code)
    if not wanted.least <= len(found) <= wanted.most:
        yield f"{len(found)} agents are {wanted.name}, should be {wanted.least} to {wanted.most}"
    for each in found:
        yield from (f"{wanted.name} has no {path}" for path in wanted.has if not _at(each, path))
        yield from (f"{wanted.name} has {path}" for path in wanted.lacks if path in each)
        if each.get("requestor") is not wanted.requestor:
            yield f"{wanted.name}.requestor should be {wanted.requestor}"
        policies = each.get("policy", [])
        if wanted.policy and (len(policies) != 1 or not wanted.policy.fullmatch(policies[0])):
            yield f"{wanted.name}.policy is {policies}"


def _other_id_problems(resource: Json) -> Iterator[str]:
    for each in (extension for agent in resource["agent"] for extension in agent.get("extension", [])):
        if each["url"] == f"{BASE}/StructureDefinition/ihe-otherId":
            value = each["valueIdentifier"]
            if not value.get("value") or not {code for _, code in codes(value["type"])} <= OTHER_IDS:
                yield f"otherId is {value}"
        elif each["url"] != f"{BASE}/StructureDefinition/ihe-assuranceLevel" or not each.get("valueCodeableConcept"):
            yield f"extension {each}"


def _consent_problems(resource: Json) -> Iterator[str]:
    for each in resource.get("entity", []):
        if each.get("type", {}).get("code") == "Consent":
            said = [detail["type"] for detail in each.get("detail", []) if "valueString" in detail]
            if (
                not set(said) <= CONSENT_DETAILS
                or len(said) != len(set(said))
                or not _at(each, "what.identifier.value")
            ):
                yield f"consent is {each}"


def problems(resource: Json) -> list[str]:
    """What an AuditEvent lacks of the pattern that it claims; one that claims none has nothing of any."""
    claimed = resource.get("meta", {}).get("profile", [])
    found: list[str] = [*_other_id_problems(resource), *_consent_problems(resource)]
    if not claimed:
        strangers = [each for code in (SAML_AGENT, OAUTH_AGENT) for each in agents(resource, code)]
        return found + [f"no pattern is claimed, and there is {each}" for each in strangers]
    prefix = f"{BASE}/StructureDefinition/IHE.BasicAudit."
    slices = [each for url in claimed for each in PATTERNS[url.removeprefix(prefix)]]
    return found + [said for wanted in slices for said in _slice_problems(resource, wanted)]
