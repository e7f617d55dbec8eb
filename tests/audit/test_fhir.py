"""AuditEvents: FHIR's own model, the elements that BALP's profiles require, and golden files.

`fhir.resources` 8 judges by R4B (4.3.0), in which AuditEvent is what it was in R4 (4.0.1).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.audit import golden
from tests.audit.balp import (
    APPLICATION,
    COMMUNITY,
    OAUTH_AGENT,
    PROVIDER,
    RECIPIENT,
    SAML_AGENT,
    agents,
    codes,
    problems,
)
from tests.audit.hostile import WORDS, spoiled
from tests.audit.samples import JWT, OPAQUE, SAML, USERS, corpus, record
from tests.parts import require
from useridentity.audit.fhir import audit_events, batch
from useridentity.audit.message import MessageStyle
from useridentity.audit.record import Kind, Record, User

Json = dict[str, Any]

MINIMAL, COMPREHENSIVE = golden.STYLE, replace(golden.STYLE, detail="comprehensive")
PROFILES = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
GOLDEN = sorted(golden.FOLDER.glob("fhir/*.json"))


def resources(made: Record, style: MessageStyle = MINIMAL) -> list[Json]:
    return [event.resource for event in audit_events(made, style)]


def admit(resource: Json) -> None:
    """Raises where FHIR's model does not admit it."""
    require("fhir")
    from fhir.resources.R4B.auditevent import AuditEvent

    AuditEvent.model_validate(resource)


def everything() -> Iterator[tuple[User, Json]]:
    for style in (MINIMAL, COMPREHENSIVE):
        for user in USERS.values():
            for made in corpus(user).values():
                yield from ((made.user, each) for each in resources(made, style))


@pytest.mark.parametrize("style", [MINIMAL, COMPREHENSIVE], ids=["minimal", "comprehensive"])
@pytest.mark.parametrize("user", USERS.values(), ids=USERS)
def test_fhir_admits_every_event(user: User, style: MessageStyle) -> None:
    for made in corpus(user).values():
        for resource in resources(made, style):
            admit(resource)


def test_what_is_no_uri_is_written_as_one() -> None:
    """agent.policy is a uri, and an id with white space would not be one; blank, it names no token."""
    (resource,) = resources(corpus(replace(JWT, credential_id="one\u00a0two three"))["accepted"])
    assert agents(resource, OAUTH_AGENT)[0]["policy"] == ["urn:ietf:params:oauth:jti:one%C2%A0two%20three"]
    (resource,) = resources(corpus(replace(JWT, credential_id=" "))["accepted"])
    assert problems(resource) == []
    assert "meta" not in resource


def test_a_study_that_nothing_else_names_is_named_by_its_instances() -> None:
    (known,), (unknown,) = resources(corpus()["stored"]), resources(corpus()["committed"])
    assert not any(each["type"] == "Instance" for entity in known["entity"] for each in entity.get("detail", []))
    (study,) = [each for each in unknown["entity"] if each["type"]["code"] == "2"]
    assert {"type": "Instance", "valueString": "1.2.826.0.1.3680043.8.498.31"} in study["detail"]
    (step,) = resources(corpus()["performed-elsewhere"])
    (study,) = [each for each in step["entity"] if each["type"]["code"] == "2"]
    assert {"type": "MPPS", "valueString": "1.2.826.0.1.3680043.8.498.21"} in study["detail"]


@pytest.mark.parametrize("blank", ["", " ", "\u00a0", "\u3000\u2003"])
def test_white_space_alone_is_no_value(blank: str) -> None:
    named, nameless = replace(JWT, display_name="Alice\u00a0Archer"), replace(JWT, display_name=blank, groups=(blank,))
    (resource,) = resources(corpus(named)["accepted"])
    admit(resource)
    assert "Alice\u00a0Archer" in json.dumps(resource, ensure_ascii=False)
    for made in corpus(nameless).values():
        for resource in resources(
            replace(made, studies=tuple(replace(each, patient_name=blank) for each in made.studies))
        ):
            admit(resource)


def test_fhir_does_not_admit_what_is_wrong() -> None:
    """The twin of the test above: the model would notice."""
    (resource,) = resources(corpus()["accepted"])
    admit(resource)
    for missing in ("type", "recorded", "agent", "source"):
        with pytest.raises(ValueError, match=missing):
            admit({key: value for key, value in resource.items() if key != missing})


def test_fhir_admits_the_bundle() -> None:
    require("fhir")
    from fhir.resources.R4B.bundle import Bundle

    Bundle.model_validate(batch([event for made in corpus().values() for event in audit_events(made, MINIMAL)]))


@pytest.mark.parametrize("name", USERS)
@pytest.mark.parametrize(
    ("kind", "detail"),
    [("accepted", "minimal"), ("accepted", "comprehensive"), ("queried", "minimal"), ("moved", "minimal")],
)
def test_every_identity_type_gives_the_event_that_was_reviewed(name: str, kind: str, detail: str) -> None:
    style = MINIMAL if detail == "minimal" else COMPREHENSIVE
    made = json.dumps(resources(corpus(USERS[name])[kind], style), indent=1, ensure_ascii=False) + "\n"
    assert made == golden.expected(f"fhir/{name}-{kind}-{detail}.json", made)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_every_golden_event_is_fhir_and_fulfils_the_pattern_of_its_user(path: Path) -> None:
    """Review by machine, as of the messages."""
    name, _, detail = path.stem.split("-")
    full = "Comprehensive" if detail == "comprehensive" else "Minimal"
    patterns = {"saml": f"SAMLaccessTokenUse.{full}", "jwt": f"OAUTHaccessTokenUse.{full}"}
    patterns["opaque"] = "OAUTHaccessTokenUse.Opaque"
    found = json.loads(path.read_text("utf-8"))
    assert found
    for resource in found:
        admit(resource)
        claimed = resource.get("meta", {}).get("profile", [])
        assert claimed == ([PROFILES + patterns[name]] if name in patterns else [])
        assert problems(resource) == []


def test_every_event_fulfils_the_pattern_that_it_claims() -> None:
    for _, resource in everything():
        assert problems(resource) == []


@pytest.mark.parametrize("text", WORDS)
def test_whatever_stands_in_every_field_it_is_fhir_and_fulfils_its_pattern(text: str) -> None:
    for user in (JWT, SAML):
        for made in corpus(user).values():
            for resource in (*resources(made, COMPREHENSIVE), *resources(spoiled(made, text), COMPREHENSIVE)):
                admit(resource)
                assert problems(resource) == []
                assert json.dumps(resource, ensure_ascii=False).isprintable()


def test_there_are_golden_events_of_every_identity() -> None:
    assert {path.stem.split("-")[0] for path in GOLDEN} == set(USERS)


FAULTS: list[tuple[Any, str]] = [
    (lambda user: user.update(policy=[]), "user has no policy"),
    (lambda user: user.update(policy=["a b"]), "user.policy is ['a b']"),
    (lambda user: user.update(altId="alice"), "user has altId"),
    (lambda user: user.update(network={"address": "10.0.0.1"}), "user has network"),
    (lambda user: user.update(requestor=False), "user.requestor should be True"),
    (lambda user: user.update(who={}), "user has no who.identifier.value"),
    (lambda user: user.update(type={}), "0 agents are user"),
    (lambda user: user["extension"][1]["valueIdentifier"].pop("value"), "otherId is"),
]


@pytest.mark.parametrize(("spoil", "said"), FAULTS, ids=[said for _, said in FAULTS])
def test_what_a_pattern_forbids_is_found(spoil: Any, said: str) -> None:
    """The twin of the tests above: what they look for would be seen, and is not there before."""
    (resource,) = deepcopy(resources(corpus(SAML)["accepted"], COMPREHENSIVE))
    assert problems(resource) == []
    spoil(agents(resource, SAML_AGENT)[0])
    assert said in "; ".join(problems(resource))


@pytest.mark.parametrize("style", [MINIMAL, COMPREHENSIVE], ids=["minimal", "comprehensive"])
def test_an_assertion_follows_balps_saml_pattern(style: MessageStyle) -> None:
    """SAMLaccessTokenUse: whose values are where; what else is fixed, required and forbidden says `balp`."""
    for made in corpus(SAML).values():
        for resource in resources(made, style):
            if "meta" not in resource:
                assert not agents(resource, SAML_AGENT)
                continue
            assert resource["meta"]["profile"] == [f"{PROFILES}SAMLaccessTokenUse.{style.detail.capitalize()}"]
            (user,) = agents(resource, SAML_AGENT)
            assert user["policy"] == [SAML.credential_id]
            assert user["who"]["identifier"] == {"system": SAML.issuer, "value": SAML.user_id}
            assert codes(user["purposeOfUse"][0]) == {("urn:oid:2.16.840.1.113883.5.8", "TREAT")}


def test_the_comprehensive_saml_pattern_has_what_the_assertion_said() -> None:
    (resource,) = resources(corpus(SAML)["accepted"], COMPREHENSIVE)
    (user,) = agents(resource, SAML_AGENT)
    others = {
        next(iter(codes(each["valueIdentifier"]["type"])))[1]: each["valueIdentifier"]["value"]
        for each in user["extension"]
        if each["url"].endswith("/ihe-otherId")
    }
    assert others == {"SAML-subject-id": "Alice Archer", "NPI": "1234567890", "PRN": "P-77"}
    (level,) = [each for each in user["extension"] if each["url"].endswith("/ihe-assuranceLevel")]
    assert level["valueCodeableConcept"]["text"] == "urn:oasis:names:tc:SAML:2.0:ac:classes:X509"
    (organization,) = agents(resource, PROVIDER)
    assert organization["who"] == {"identifier": {"value": "urn:oid:1.2.3.4"}, "display": "St. Example"}
    (community,) = agents(resource, COMMUNITY)
    assert community["who"]["identifier"]["value"] == "urn:oid:1.2.3"
    (consent,) = [each for each in resource["entity"] if each["type"]["code"] == "Consent"]
    assert {each["type"] for each in consent["detail"]} == {
        "urn:ihe:iti:xua:2012:acp",
        "urn:oasis:names:tc:xacml:2.0:resource:resource-id",
    }


def test_a_token_follows_balps_oauth_pattern() -> None:
    for name in ("accepted", "stored", "queried"):
        (resource,) = resources(corpus(JWT)[name])
        assert resource["meta"]["profile"] == [f"{PROFILES}OAUTHaccessTokenUse.Minimal"]
        (user,) = agents(resource, OAUTH_AGENT)
        assert user["policy"] == [f"urn:ietf:params:oauth:jti:{JWT.credential_id}"]
        assert user["who"]["identifier"] == {"system": JWT.issuer, "value": JWT.user_id}


def test_the_comprehensive_oauth_pattern_has_the_client() -> None:
    """OAUTHaccessTokenUse.Comprehensive: oClient 1..1 of type 110150, oUser of type IRCP with policy 1..1."""
    (resource,) = resources(corpus(JWT)["accepted"], COMPREHENSIVE)
    assert resource["meta"]["profile"] == [f"{PROFILES}OAUTHaccessTokenUse.Comprehensive"]
    (client,) = agents(resource, APPLICATION)
    assert client["who"]["identifier"]["value"] == "viewer"
    assert client["network"] == {"address": "10.20.0.7", "type": "2"}
    (user,) = agents(resource, RECIPIENT)
    assert user["who"]["display"] == user["name"] == "Alice Archer"
    assert len(user["policy"]) == 1


def test_a_token_without_a_client_stays_with_the_minimal_pattern() -> None:
    (resource,) = resources(corpus(replace(JWT, attributes={}))["accepted"], COMPREHENSIVE)
    assert resource["meta"]["profile"] == [f"{PROFILES}OAUTHaccessTokenUse.Minimal"]


def test_an_opaque_token_is_its_last_32_characters() -> None:
    (resource,) = resources(corpus(OPAQUE)["accepted"])
    assert resource["meta"]["profile"] == [f"{PROFILES}OAUTHaccessTokenUse.Opaque"]
    (user,) = agents(resource, OAUTH_AGENT)
    assert user["policy"] == [OPAQUE.credential_id]


@pytest.mark.parametrize("name", ["username", "passcode", "kerberos", "node"])
def test_users_without_a_token_claim_no_profile(name: str) -> None:
    """BALP has no pattern for them: the qualified subject identifies them, and there is no policy to look up."""
    (resource,) = resources(corpus(USERS[name])["accepted"])
    assert "meta" not in resource
    (user,) = [each for each in resource["agent"] if each["requestor"]]
    assert user["who"]["identifier"] == {"value": USERS[name].subject}
    assert "policy" not in user


def test_who_was_only_claimed_has_no_token() -> None:
    for name in ("rejected", "rejected-penalty"):
        (resource,) = resources(corpus(SAML)[name])
        assert "meta" not in resource
        assert not any("policy" in each for each in resource["agent"])


def test_one_agent_is_the_requestor_and_it_is_the_user() -> None:
    for _, resource in everything():
        asking = [each for each in resource["agent"] if each["requestor"]]
        assert len(asking) <= 1
        if users := [each for each in resource["agent"] if "v3-ParticipationType" in json.dumps(each.get("type"))]:
            assert users == asking


def test_an_entity_has_a_name_or_a_query_and_never_both() -> None:
    """FHIR's sev-1, which `fhir.resources` does not check."""
    for _, resource in everything():
        for entity in resource["entity"]:
            assert not {"name", "query"} <= entity.keys()


def test_an_event_names_its_record_by_which_a_duplicate_is_known() -> None:
    for made in corpus().values():
        for position, resource in enumerate(resources(made), 1):
            first = resource["entity"][0]
            assert first["type"]["code"] == "XrequestId"
            assert first["what"]["identifier"]["value"] == made.event_id
            if len(resources(made)) > 1:
                assert {"type": "part", "valueString": f"{position} of {len(resources(made))}"} in first["detail"]


def test_users_have_no_network_address_and_machines_do() -> None:
    (resource,) = resources(corpus()["accepted"])
    addresses = [each["network"]["address"] for each in resource["agent"] if "network" in each]
    assert addresses == ["pacs.example.org", "10.20.0.7"]


_anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(
    st.builds(
        User,
        identity_type=st.sampled_from([None, 1, 2, 3, 4, 5]),
        presented=_anything,
        subject=_anything,
        user_id=_anything,
        display_name=_anything,
        issuer=_anything,
        assurance=st.just("authenticated"),
        groups=st.lists(_anything, max_size=2).map(tuple),
        credential_form=st.sampled_from(["", "jti", "assertion", "opaque"]),
        credential_id=_anything,
    ),
    st.sampled_from([Kind.ACCEPTED, Kind.STORED, Kind.QUERIED, Kind.REFUSED]),
)
@settings(deadline=None)
def test_any_record_gives_events_that_fhir_admits(user: User, kind: Kind) -> None:
    for resource in resources(record(kind, 1, user), COMPREHENSIVE):
        admit(resource)
