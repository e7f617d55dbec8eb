"""The issuer of tokens, judged by the validator that a policy would ask."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

import pytest

from tests.mechanisms.builders import context, facts
from tests.parts import require
from useridentity.credential import Credential
from useridentity.decision import Reason
from useridentity.errors import Refused
from useridentity.settings import Runtime
from useridentity.testing import TokenIssuer
from useridentity.validator import Verified


def judge(trusted: TokenIssuer, token: str, folder: Path) -> Verified:
    """What a policy that trusts `trusted` says of a token."""
    from useridentity.mechanisms.jwt import JwtSettings

    jwks = trusted.write_jwks(folder / "jwks.json")
    settings = JwtSettings(trusted.issuer, trusted.audience, algorithms=(trusted.algorithm,), jwks=str(jwks))
    validator = settings.build(Runtime("idp", folder))
    return validator.validate(Credential(5, token.encode()), facts(identity_type=5), context())


@pytest.fixture(scope="module")
def issuer() -> TokenIssuer:
    require("jwt")
    return TokenIssuer()


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_its_tokens_are_accepted(algorithm: Literal["RS256", "ES256"], tmp_path: Path) -> None:
    require("jwt")
    issuer = TokenIssuer("https://idp.example.org", "dicom:OTHER", algorithm=algorithm)
    identity = judge(issuer, issuer.token("bob", name="Bob Builder"), tmp_path).identity
    assert identity.subject == "https://idp.example.org#bob"
    assert identity.display_name == "Bob Builder"


def test_a_claim_can_be_replaced_or_left_out(issuer: TokenIssuer, tmp_path: Path) -> None:
    past = int(time.time()) - 600
    judge(issuer, issuer.token(), tmp_path)
    for claims, reason in (
        ({"iat": past, "exp": past + 300}, Reason.CREDENTIAL_EXPIRED),
        ({"aud": "dicom:OTHER"}, Reason.CREDENTIAL_INVALID),
        ({"jti": None}, Reason.CREDENTIAL_INVALID),
    ):
        with pytest.raises(Refused) as refused:
            judge(issuer, issuer.token(**claims), tmp_path)
        assert refused.value.reason is reason


def test_another_of_the_same_name_is_an_impostor(issuer: TokenIssuer, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="signature"):
        judge(issuer, TokenIssuer().token(), tmp_path)


def test_a_token_of_another_type_is_refused(issuer: TokenIssuer, tmp_path: Path) -> None:
    other = TokenIssuer(typ="logout+jwt")
    with pytest.raises(Refused, match="typ"):
        judge(other, other.token(), tmp_path)


def test_no_two_tokens_are_the_same_one(issuer: TokenIssuer) -> None:
    assert issuer.token() != issuer.token()


def test_the_key_is_in_no_repr(issuer: TokenIssuer) -> None:
    assert "PrivateKey" not in repr(issuer)
