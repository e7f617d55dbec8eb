"""Who a token says its subject is."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from tests.mechanisms.jwt.issuer import ISSUER, Draft, judge
from useridentity.credential import IdentityType
from useridentity.identity import Assurance, Kind
from useridentity.mechanisms.jwt import JwtValidator
from useridentity.mechanisms.jwt.claims import SKEW
from useridentity.mechanisms.jwt.identity import identity_of


def test_the_identity_is_the_tokens_subject_qualified_by_its_issuer(idp: JwtValidator) -> None:
    exp = int(time.time()) + 300
    verified = judge(idp, Draft(claims={"name": "Alice A.", "exp": exp, "cohort": "P1"}).token())
    who = verified.identity
    assert (who.subject, who.user_id, who.issuer) == (f"{ISSUER}#alice", "alice", ISSUER)
    assert (who.display_name, who.kind, who.assurance) == ("Alice A.", Kind.PERSON, Assurance.AUTHENTICATED)
    assert who.identity_type == IdentityType.JWT
    assert who.claims["cohort"] == "P1"
    assert who.expires_at == verified.expires_at == datetime.fromtimestamp(exp + SKEW, UTC)
    assert who.groups == frozenset()
    assert who.actor is None
    assert verified.server_response == b""
    assert verified.once == ()
    assert "P1" not in repr(verified)


def test_a_client_that_acts_for_itself_is_a_service(idp: JwtValidator) -> None:
    assert judge(idp, Draft(claims={"sub": "viewer"}).token()).identity.kind is Kind.SERVICE


def test_who_acts_for_the_subject_is_kept(idp: JwtValidator) -> None:
    actor = judge(idp, Draft(claims={"act": {"sub": "portal", "act": {"sub": "history"}}}).token()).identity.actor
    assert actor is not None
    assert (actor.subject, actor.actor) == (f"{ISSUER}#portal", None)
    assert actor.assurance is Assurance.AUTHENTICATED
    other = {"sub": "portal", "iss": "https://other.example.org"}
    elsewhere = judge(idp, Draft(claims={"act": other}).token()).identity.actor
    assert elsewhere is not None
    assert elsewhere.subject == "https://other.example.org#portal"
    assert elsewhere.assurance is Assurance.ASSERTED  # nobody but our issuer says so


def test_no_two_issuers_can_mean_each_others_users() -> None:
    def subject(issuer: str, sub: str) -> str:
        return identity_of({"sub": sub}, issuer, frozenset(), datetime.now(UTC)).subject

    assert subject("https://a", "b#c") == "https://a#b#c"
    assert subject("https://a#b", "c") != "https://a#b#c"


def test_a_display_name_that_cannot_be_shown_is_left_out(idp: JwtValidator) -> None:
    assert judge(idp, Draft(claims={"name": "A" * 257, "preferred_username": "a"}).token()).identity.display_name == "a"
    assert (
        judge(idp, Draft(claims={"name": "A\x1b[2J", "preferred_username": "a"}).token()).identity.display_name == "a"
    )
