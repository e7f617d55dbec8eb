"""The issuer of assertions, judged by the validator that a policy would ask."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.mechanisms.builders import context, facts
from tests.parts import require
from useridentity.credential import Credential
from useridentity.decision import Reason
from useridentity.errors import Refused
from useridentity.testing import AssertionIssuer
from useridentity.validator import Verified

ROLE = "urn:oasis:names:tc:xacml:2.0:subject:role"


@pytest.fixture(scope="module")
def issuer() -> AssertionIssuer:
    require("signxml")
    return AssertionIssuer()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def judge(trusted: AssertionIssuer, assertion: bytes, folder: Path, **settings: Any) -> Verified:
    """What a policy that trusts `trusted` says of an assertion."""
    from useridentity.mechanisms.saml import SamlSettings

    metadata = trusted.write_metadata(folder / "idp.xml")
    validator = SamlSettings(trusted.audience, metadata=str(metadata), **settings).build()
    return validator.validate(Credential(4, assertion), facts(identity_type=4), context())


def test_its_assertions_are_accepted(issuer: AssertionIssuer, folder: Path) -> None:
    assert judge(issuer, issuer.assertion("bob"), folder, max_authn_age=60.0).identity.subject == "urn:idp#bob"


def test_attributes_reach_the_policys_groups(issuer: AssertionIssuer, folder: Path) -> None:
    from useridentity.mechanisms.saml import Groups

    assertion = issuer.assertion(attributes={ROLE: ["radiologist", "clerk"]})
    verified = judge(issuer, assertion, folder, groups=Groups({"radiologist": "radiology"}))
    assert verified.identity.groups == {"radiology"}


def test_one_that_serves_once_says_so(issuer: AssertionIssuer, folder: Path) -> None:
    assert not judge(issuer, issuer.assertion(), folder).once
    assert judge(issuer, issuer.assertion(single_use=True), folder).once


def test_markup_in_a_name_is_text(issuer: AssertionIssuer, folder: Path) -> None:
    other = AssertionIssuer('https://idp.test/?a="1"&b=<2>')
    assert judge(other, other.assertion("<alice> & co."), folder).identity.user_id == "<alice> & co."


def test_what_is_old_or_for_another_or_by_an_impostor_is_refused(issuer: AssertionIssuer, folder: Path) -> None:
    judge(issuer, issuer.assertion(), folder)
    for assertion, reason in (
        (issuer.assertion(issued=datetime.now(UTC) - timedelta(hours=1)), Reason.CREDENTIAL_EXPIRED),
        (issuer.assertion(audience="urn:dicom:OTHER"), Reason.CREDENTIAL_INVALID),
        (AssertionIssuer().assertion(), Reason.CREDENTIAL_INVALID),
        (issuer.assertion("mallory").replace(b"mallory", b"alice"), Reason.CREDENTIAL_INVALID),
    ):
        with pytest.raises(Refused) as refused:
            judge(issuer, assertion, folder)
        assert refused.value.reason is reason
