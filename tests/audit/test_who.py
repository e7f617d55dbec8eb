"""A record names who was presented and who was proved, and what names a credential without being it."""

from __future__ import annotations

from typing import Any

import pytest

from useridentity.audit.record import ATTRIBUTES, MAX_TEXT, User
from useridentity.audit.who import MAX_VALUES, OPAQUE_WHOLE, user_of
from useridentity.credential import Credential, IdentityType
from useridentity.identity import Assurance, Identity, Kind

TOKEN = b"eyJhbGciOiJSUzI1NiJ9." + b"x" * 100 + b"." + bytes(range(0x41, 0x41 + 50))

CLAIMS = {
    "jti": "4711",
    "aud": ["dicom:ARCHIVE"],
    "client_id": "viewer",
    "acr": "loa3",
    "extensions": {
        "ihe_iua": {
            "subject_role": [{"system": "urn:roles", "code": "MD"}, {"code": "RN"}],
            "subject_organization": "Hospital",
            "subject_organization_id": "urn:oid:1.2",
            "national_provider_identifier": "1234567893",
            "home_community_id": "urn:oid:1.3",
        },
        "ihe_bppc": {"patient_id": "P1^^^&1.2&ISO", "doc_id": "urn:oid:1.4", "acp": "urn:oid:1.5"},
    },
    "secret_of_another_kind": "never recorded",
}


def identity(identity_type: int | None = 5, **changes: Any) -> Identity:
    usual: dict[str, Any] = {
        "subject": "idp#alice",
        "user_id": "alice",
        "issuer": "https://idp.example.org",
        "assurance": Assurance.AUTHENTICATED,
        "identity_type": identity_type,
        "groups": frozenset({"b", "a"}),
        "purposes": frozenset({"TREAT"}),
        "presented": "alice",
    }
    return Identity(**(usual | changes))


def test_who_was_proved_is_recorded_with_all_that_the_audit_formats_have_a_place_for() -> None:
    actor = identity(subject="idp#robot", kind=Kind.SERVICE)
    found = user_of(Credential(5, TOKEN), identity(claims=CLAIMS, actor=actor), "patient unconscious")
    assert (found.subject, found.user_id, found.issuer) == ("idp#alice", "alice", "https://idp.example.org")
    assert (found.assurance, found.kind, found.groups, found.purposes) == (
        "authenticated", "person", ("a", "b"), ("TREAT",),
    )  # fmt: skip
    assert (found.actor, found.emergency) == ("idp#robot", "patient unconscious")
    assert (found.credential_form, found.credential_id) == ("jti", "4711")
    assert set(found.attributes) == set(ATTRIBUTES) - {"provider_identifier"}
    assert found.attributes["role"] == ("MD", "RN")
    assert found.attributes["alias"] == ("dicom:ARCHIVE",)
    assert "never recorded" not in str(found)


def test_an_assertion_is_recorded_by_its_id_and_its_attributes() -> None:
    claims = {"assertion_id": "_a1", "authn_context": "urn:password", "role": ("2.16|MD",), "npi": ("123",)}
    found = user_of(Credential(4, b"<Assertion/>"), identity(4, claims=claims))
    assert (found.credential_form, found.credential_id) == ("assertion", "_a1")
    assert found.attributes == {"role": ("2.16|MD",), "npi": ("123",), "assurance_level": ("urn:password",)}


@pytest.mark.parametrize("given", [None, identity(claims={})])
def test_a_token_without_an_id_is_recorded_by_its_last_32_characters(given: Identity | None) -> None:
    found = user_of(Credential(5, TOKEN + b"\0"), given)
    assert (found.credential_form, found.credential_id) == ("opaque", TOKEN[-32:].decode())


@pytest.mark.threat("A7")
def test_of_a_short_token_nothing_is_recorded() -> None:
    """The last 32 characters of a token of 40 are the token, but for what can be guessed."""
    assert user_of(Credential(5, b"x" * OPAQUE_WHOLE)).credential_id
    assert user_of(Credential(5, b"x" * (OPAQUE_WHOLE - 1))) == User(5)


@pytest.mark.parametrize("kind", [1, 2])
def test_a_name_that_was_claimed_is_presented_and_proves_nothing(kind: int) -> None:
    found = user_of(Credential(kind, b"root\x1b[31m", b"passcode-4711"))
    assert found == User(kind, "root\\x1b[31m"), "escaped, as that of an identity is"
    assert "4711" not in str(found)


@pytest.mark.parametrize("kind", [3, 4, 6, 255])
def test_a_credential_that_is_itself_the_secret_is_not_recorded(kind: int) -> None:
    assert user_of(Credential(kind, b"secret" * 20, b"secret")) == User(kind)


def test_where_nothing_was_presented_nothing_is_said() -> None:
    assert user_of(None) == User()
    assert user_of(None, identity(None)).identity_type is None


def test_lists_and_values_are_bounded() -> None:
    many = frozenset(f"group-{number:04}" for number in range(1000))
    found = user_of(Credential(5, TOKEN), identity(groups=many, claims=CLAIMS | {"jti": "x" * 5000}))
    assert len(found.groups) == MAX_VALUES
    assert len(found.credential_id) == MAX_TEXT


@pytest.mark.parametrize("claims", [{"jti": 4711}, {"jti": ""}, {"jti": ["a"]}, {"extensions": 7}, {"aud": {"a": 1}}])
def test_claims_of_another_kind_than_they_should_be_are_left_out(claims: dict[str, object]) -> None:
    found = user_of(Credential(IdentityType.JWT, TOKEN), identity(claims=claims))
    assert found.credential_form == "opaque"
    assert found.attributes == {}
