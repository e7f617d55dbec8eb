"""User-Identity-Type 1: what is a username, what is sent, what is believed, what confirms it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.mechanisms.builders import context, credential, facts, peer
from useridentity.credential import Confirmation, CredentialProvider, IdentityType
from useridentity.decision import Reason
from useridentity.errors import ConfigurationError, CredentialUnavailable, NotConfirmed, Refused
from useridentity.facts import Tls
from useridentity.identity import Assurance
from useridentity.mechanisms.username import (
    MAX_USERNAME,
    Username,
    UsernameSettings,
    UsernameValidator,
    username_from,
)
from useridentity.settings import Runtime
from useridentity.validator import Validator

# RFC 8265 3.5, tables 1 and 2.
RFC_8265_USERNAMES = [
    "juliet@example.com",
    "fussball",
    "fu\N{LATIN SMALL LETTER SHARP S}ball",
    "\N{GREEK SMALL LETTER PI}",
    "\N{GREEK CAPITAL LETTER SIGMA}",
    "\N{GREEK SMALL LETTER SIGMA}",
    "\N{GREEK SMALL LETTER FINAL SIGMA}",
]
RFC_8265_NO_USERNAMES = {
    "foo bar": "spaces at character 3",
    "": "empty",
    "henry\N{ROMAN NUMERAL FOUR}": "has_compat at character 5",
    "\N{BLACK CHESS KING}": "symbols",
}
MORE_NO_USERNAMES = {
    b"ali\xe9": "no UTF-8 at byte 3",
    b"\xed\xa0\x80": "no UTF-8",  # a surrogate
    b"\xc0\xafalice": "no UTF-8",  # an overlong form
    b"alice\0": "controls",
    b"alice ": "spaces",
    b"alice\n": "controls",
    "ali\N{ZERO WIDTH JOINER}ce".encode(): "zero_width_joiner",
    "ali\N{RIGHT-TO-LEFT OVERRIDE}ce".encode(): "precis_ignorable",
    "\N{HEBREW LETTER ALEF}a1".encode(): "bidi_rule",
    b"a" * (MAX_USERNAME + 1): f"{MAX_USERNAME + 1} bytes long, at most {MAX_USERNAME}",
}


@pytest.mark.parametrize("name", RFC_8265_USERNAMES)
def test_the_usernames_of_rfc_8265_are_usernames_and_stay_as_they_are(name: str) -> None:
    assert username_from(name.encode()) == name


@pytest.mark.parametrize(
    ("field", "why"),
    [*((name.encode(), why) for name, why in RFC_8265_NO_USERNAMES.items()), *MORE_NO_USERNAMES.items()],
)
def test_what_is_no_username_is_refused_with_the_place(field: bytes, why: str) -> None:
    with pytest.raises(Refused, match="not a username") as refused:
        username_from(field)
    assert refused.value.reason is Reason.CREDENTIAL_INVALID
    assert why in refused.value.detail


def test_case_is_kept_and_spelling_is_not() -> None:
    """Full-width letters and decomposed accents mean the user that ordinary ones mean; capitals do not."""
    assert username_from("\uff21lice".encode()) == "Alice" != username_from(b"alice")
    assert username_from("Rene\N{COMBINING ACUTE ACCENT}".encode()) == "Ren\N{LATIN SMALL LETTER E WITH ACUTE}"


def test_the_longest_username_is_one() -> None:
    assert username_from(b"a" * MAX_USERNAME) == "a" * MAX_USERNAME


@settings(deadline=None, derandomize=True)
@given(st.one_of(st.binary(max_size=40), st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass"))))
@example("\N{LATIN CAPITAL LETTER A WITH RING ABOVE}".encode())
def test_whatever_a_peer_sends_is_a_username_or_refused(field: bytes) -> None:
    """Nothing else is raised, and the form that is compared is one, printable, normal and final."""
    try:
        name = username_from(field)
    except Refused:
        return
    assert name == unicodedata.normalize("NFC", name) == username_from(name.encode())
    assert not any(unicodedata.category(character) in {"Cc", "Cs", "Zs", "Zl", "Zp"} for character in name)


def test_a_username_is_believed_and_no_more() -> None:
    """The identity is ASSERTED, named after the validator, and keeps what was claimed."""
    sent = "\uff21lice"
    verified = UsernameValidator("staff").validate(credential(1, sent.encode()), facts(Tls.NONE, 1), context())
    identity = verified.identity
    assert (identity.subject, identity.user_id, identity.issuer) == ("staff:Alice", "Alice", "staff")
    assert identity.assurance is Assurance.ASSERTED
    assert identity.identity_type == IdentityType.USERNAME
    assert identity.presented == sent
    assert verified.server_response == b""


def test_a_validator_refuses_what_is_no_username() -> None:
    validator = UsernameValidator()
    assert validator.validate(credential(1, b"alice"), facts(), context()).identity.user_id == "alice"
    with pytest.raises(Refused) as refused:
        validator.validate(credential(1, b"ali ce"), facts(), context())
    assert refused.value.reason is Reason.CREDENTIAL_INVALID


def test_a_validator_refuses_another_type_and_nothing_at_all() -> None:
    validator = UsernameValidator()
    validator.validate(credential(1, b"alice"), facts(), context())
    with pytest.raises(Refused) as refused:
        validator.validate(credential(2, b"alice", b"pw"), facts(), context())
    assert refused.value.reason is Reason.IDENTITY_TYPE_NOT_ACCEPTED
    with pytest.raises(Refused) as refused:
        validator.validate(None, facts(), context())
    assert refused.value.reason is Reason.IDENTITY_REQUIRED


def test_the_room_keeps_the_protocols_of_both_sides() -> None:
    provider: CredentialProvider = Username("alice")
    validator: Validator = UsernameSettings().build(Runtime("staff", folder=None))  # type: ignore[arg-type]
    assert isinstance(provider, CredentialProvider)
    assert isinstance(validator, Validator)
    assert (validator.name, validator.identity_type, validator.cpu_short) == ("staff", 1, True)


def test_what_is_sent_is_the_form_that_is_compared() -> None:
    with Username("\uff21lice").offer(peer()) as offer:
        assert offer.credential.identity_type == IdentityType.USERNAME
        assert offer.credential.primary_field == b"Alice"
        assert offer.credential.secondary_field == b""
        assert offer.credential.positive_response_requested


def test_a_name_is_no_secret() -> None:
    """It is offered to a peer without TLS, too."""
    with Username("alice").offer(peer(tls_verified=False)) as offer:
        assert offer.credential.primary_field == b"alice"


def test_a_name_that_is_too_long_is_not_repeated() -> None:
    """It may be a token that was given in its place."""
    for length, told in ((MAX_USERNAME, "'a b"), (MAX_USERNAME + 1, "what was given is")):
        with pytest.raises(CredentialUnavailable, match="not a username") as unavailable:
            Username("a b".ljust(length, "c")).offer(peer())
        assert str(unavailable.value).startswith(told)


@pytest.mark.parametrize("name", ["", "a b", "\udcff", "a" * (MAX_USERNAME + 1)])
def test_a_name_that_cannot_be_a_username_is_not_offered(name: str) -> None:
    """The error comes from asking for the offer, before anything connects."""
    Username("alice").offer(peer())
    with pytest.raises(CredentialUnavailable, match="not a username"):
        Username(name).offer(peer())


def test_a_name_of_another_type_is_an_error_of_the_programmer() -> None:
    with pytest.raises(ConfigurationError, match="the username is a bytes; give a string"):
        Username(b"alice").offer(peer())  # type: ignore[arg-type]


def test_an_empty_server_response_confirms_and_proves_nothing() -> None:
    with Username("alice").offer(peer()) as offer:
        assert offer.confirm(b"") == Confirmation(acceptor="", mutual=False)


def test_no_server_response_confirms_nothing() -> None:
    with Username("alice").offer(peer()) as offer, pytest.raises(NotConfirmed, match=r"PS3\.7 D\.3\.3\.7"):
        offer.confirm(None)


def test_a_server_response_with_content_confirms_nothing() -> None:
    with Username("alice").offer(peer()) as offer, pytest.raises(NotConfirmed, match="has 5 bytes") as not_confirmed:
        offer.confirm(b"alice")
    assert "alice" not in str(not_confirmed.value)


def test_an_offer_that_has_ended_has_no_credential() -> None:
    with Username("alice").offer(peer()) as offer:
        pass
    with pytest.raises(CredentialUnavailable, match="ask the provider again"):
        _ = offer.credential
