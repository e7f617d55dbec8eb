"""Where groups are in the tokens of real issuers, and that only mapped ones come through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.mechanisms.jwt.issuer import Draft, judge, validator
from useridentity.claim_path import ClaimPath
from useridentity.errors import ConfigurationError
from useridentity.mechanisms.jwt import Groups

PURPOSES = "2.16.840.1.113883.1.11.20448"
TOKENS = [
    ("realm_access.roles", {"realm_access": {"roles": ["radiologist", "offline_access"]}}),  # Keycloak
    ("resource_access.viewer.roles", {"resource_access": {"viewer": {"roles": ["radiologist"]}}}),  # Keycloak
    ("roles", {"roles": ["radiologist"]}),  # Entra, RFC 9068 2.2.3.1
    ("scope", {"scope": "openid radiologist"}),  # RFC 8693 4.2
    ("scp", {"scp": "radiologist"}),  # Entra
    ('"https://example.org/roles"', {"https://example.org/roles": ["radiologist"]}),  # Auth0
    (
        "extensions.ihe_iua.subject_role[].code",  # IHE IUA 3.71.4.2.2.1.1
        {"extensions": {"ihe_iua": {"subject_role": [{"system": "urn:oid:1.2", "code": "radiologist"}, {"code": 1}]}}},
    ),
    ('a."b.c"[].d', {"a": {"b.c": [{"d": ["radiologist"]}]}}),
    ("role", {"role": "radiologist"}),
]


@pytest.mark.parametrize(("path", "claims"), TOKENS)
@pytest.mark.threat("J7")
def test_groups_are_found_by_path_and_mapped(tmp_path: Path, path: str, claims: dict[str, Any]) -> None:
    idp = validator(tmp_path, groups=Groups(path, {"radiologist": "radiology", "unused": "x"}))
    assert judge(idp, Draft(claims=claims).token()).identity.groups == {"radiology"}
    assert judge(idp, Draft().token()).identity.groups == frozenset()


@pytest.mark.parametrize(
    "claims",
    [
        {"realm_access": "roles"},
        {"realm_access": ["roles"]},
        {"realm_access": {"roles": {"radiologist": True}}},
        {"realm_access": {"roles": [["radiologist"]]}},
        {"realm_access": {"roles": "radiologist offline_access"}},
        {"realm_access": {"roles": [1, None, {}]}},
        {"realm_access.roles": ["radiologist"]},
    ],
)
def test_claims_of_another_shape_give_no_group(claims: dict[str, Any]) -> None:
    path = ClaimPath.read("realm_access.roles")
    assert path.strings({"realm_access": {"roles": ["radiologist"]}}) == {"radiologist"}
    assert "radiologist" not in path.strings(claims)


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", "a b", "a[]b", "a[0]", '"a', '""', "a[]."])
def test_what_is_no_path_is_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is no claim path"):
        ClaimPath.read(text)


@pytest.mark.parametrize(
    ("purpose", "expected"),
    [
        ([{"system": "urn:oid:2.16.840.1.113883.1.11.20448", "code": "TREAT"}], {"TREAT", f"{PURPOSES}|TREAT"}),
        ([{"code": "TREAT"}, {"code": "ETREAT", "system": ""}], {"TREAT", "ETREAT"}),
        ([{"system": "urn:oid:1.2"}, "TREAT", {"code": 7}, {"code": ""}], set()),
        ("TREAT", set()),
        (None, set()),
    ],
)
def test_purposes_of_use_are_those_of_ihe_iua(tmp_path: Path, purpose: Any, expected: set[str]) -> None:
    draft = Draft(claims={"extensions": {"ihe_iua": {"purpose_of_use": purpose}}})
    assert judge(validator(tmp_path), draft.token()).identity.purposes == expected
