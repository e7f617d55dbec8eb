"""The acceptor against tickets of a real KDC: each refusal beside the same ticket without the defect."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import gssapi
import pytest

from tests.lib.kdc import realms
from tests.mechanisms.builders import context, facts, peer
from tests.mechanisms.kerberos.hospital import (
    HOSPITAL,
    OTHER_SERVICE,
    PARTNER,
    PASSWORD,
    SERVICE,
    Hospital,
    judge,
    presented,
    ticket_at,
)
from useridentity.credential import Credential, IdentityType
from useridentity.decision import Reason
from useridentity.errors import Refused, Unavailable
from useridentity.identity import Assurance, Kind
from useridentity.mechanisms.kerberos import Form, Kerberos
from useridentity.mechanisms.kerberos.framing import framed_ap_req
from useridentity.mechanisms.kerberos.requestor import Framing
from useridentity.validator import Validator


def refusal(hospital: Hospital, credential: Credential, **settings: object) -> Refused:
    """How a new validator refuses it."""
    with pytest.raises(Refused) as refused:
        judge(hospital.validator(**settings), credential)
    return refused.value


def spoilt(hospital: Hospital, spoil: Callable[[bytes], bytes]) -> Credential:
    """A good ticket, shown to be one by its twin, with its octets changed."""
    judge(hospital.validator(), hospital.ticket())
    return presented(spoil(hospital.ticket().primary_field))


def test_a_ticket_proves_its_principal(hospital: Hospital) -> None:
    validator = hospital.validator()
    verified = judge(validator, hospital.ticket())
    identity = verified.identity
    assert isinstance(validator, Validator)
    assert identity.subject == identity.user_id == "alice@HOSPITAL.TEST"
    assert identity.issuer == HOSPITAL
    assert (identity.assurance, identity.identity_type, identity.kind) == (Assurance.AUTHENTICATED, 3, Kind.PERSON)
    assert identity.groups == frozenset()
    assert identity.claims == {"service": "dicom/pacs.hospital.test@HOSPITAL.TEST", "auth_indicators": ("strong",)}


def test_the_identity_ends_with_the_ticket(hospital: Hospital) -> None:
    cache = hospital.realm.login("alice", PASSWORD, "-l", "10m", cache="ten-minutes")
    verified = judge(hospital.validator(), hospital.ticket(cache=cache))
    assert verified.expires_at is not None
    assert verified.expires_at == verified.identity.expires_at
    assert timedelta(minutes=9) < verified.expires_at - datetime.now(UTC) <= timedelta(minutes=10)


def test_a_principal_that_did_not_preauthenticate_has_no_indicator(hospital: Hospital) -> None:
    hospital.realm.add_principal("weak", password="pw")
    cache = hospital.realm.login("weak", "pw")
    verified = judge(hospital.validator(), hospital.ticket(cache=cache))
    assert verified.identity.claims["auth_indicators"] == ()


@pytest.mark.parametrize(("framing", "first"), [("raw", 0x6F), ("gss", 0x60)])
def test_a_ticket_is_answered_in_the_form_it_came_in(hospital: Hospital, framing: Framing, first: int) -> None:
    with Kerberos(SERVICE, cache=hospital.alice, framing=framing).offer(peer()) as offer:
        response = judge(hospital.validator(), offer.credential).server_response
        assert response is not None
        assert response[0] == first
        assert offer.confirm(response).mutual


def test_a_negotiated_ticket_is_answered_as_one_where_spnego_is_allowed(hospital: Hospital) -> None:
    """MIT's own SPNEGO initiator completes with our answer."""
    store: dict[bytes | str, bytes | str] = {"ccache": f"FILE:{hospital.alice}"}
    spnego = gssapi.OID.from_int_seq("1.3.6.1.5.5.2")
    requestor = gssapi.SecurityContext(
        name=gssapi.Name(SERVICE, gssapi.NameType.hostbased_service),
        creds=gssapi.Credentials(usage="initiate", store=store),
        mech=spnego,
        usage="initiate",
    )
    credential = presented(requestor.step())
    verified = judge(hospital.validator(forms=(Form.SPNEGO,)), credential)
    assert verified.identity.subject == "alice@HOSPITAL.TEST"
    requestor.step(verified.server_response)
    assert requestor.complete
    assert gssapi.RequirementFlag.mutual_authentication in requestor.actual_flags


@pytest.mark.parametrize("forms", [(Form.RAW, Form.SPNEGO), (Form.SPNEGO,), (Form.RAW,)])
def test_a_form_that_is_not_allowed_is_refused(hospital: Hospital, forms: tuple[Form, ...]) -> None:
    judge(hospital.validator(), hospital.ticket(framing="gss"))
    refused = refusal(hospital, hospital.ticket(framing="gss"), forms=forms)
    assert refused.reason is Reason.CREDENTIAL_INVALID
    assert '"gss"' in refused.detail


@pytest.mark.threat("K4")
def test_a_ticket_for_another_service_of_the_same_keytab_is_refused(hospital: Hospital) -> None:
    both = hospital.realm.keytab("dicom/pacs.hospital.test", "dicom/ris.hospital.test", file="both.keytab")
    judge(hospital.validator(keytab=both, service=OTHER_SERVICE), hospital.ticket(OTHER_SERVICE))
    refused = refusal(hospital, hospital.ticket(OTHER_SERVICE), keytab=both)
    assert refused.reason is Reason.CREDENTIAL_INVALID


@pytest.mark.threat("K5")
def test_a_ticket_of_a_kdc_that_only_has_the_same_names_is_refused(
    hospital: Hospital, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(hospital.validator(), hospital.ticket())
    with realms(tmp_path, HOSPITAL) as (rogue,), monkeypatch.context() as elsewhere:
        rogue.add_principal("dicom/pacs.hospital.test")
        rogue.add_principal("alice", password="pw")
        elsewhere.setenv("KRB5_CONFIG", str(rogue.krb5_conf))
        forged = hospital.ticket(cache=rogue.login("alice", "pw"))
    assert refusal(hospital, forged).reason is Reason.CREDENTIAL_INVALID


@pytest.mark.threat("K6")
def test_a_user_of_a_trusted_realm_gets_in_only_where_a_rule_names_the_realm(hospital: Hospital) -> None:
    rules = ({"match": "*@PARTNERS.TEST"},)
    verified = judge(hospital.validator(principals=rules), hospital.ticket(cache=hospital.bob))
    assert verified.identity.subject == verified.identity.user_id == "bob@PARTNERS.TEST"
    refused = refusal(hospital, hospital.ticket(cache=hospital.bob))
    assert refused.reason is Reason.NOT_AUTHORISED
    assert "bob@PARTNERS.TEST" in refused.detail


@pytest.mark.threat("K6")
def test_a_realm_rewritten_in_the_clear_part_of_the_ticket_does_not_make_it_ours(hospital: Hospital) -> None:
    """The default rule believes the realm of the key that opened the ticket, not the one written on it."""
    credential = hospital.ticket(cache=hospital.bob)
    rewritten = credential.primary_field.replace(HOSPITAL.encode(), PARTNER.encode(), 1)
    assert rewritten != credential.primary_field
    assert refusal(hospital, presented(rewritten)).reason is Reason.NOT_AUTHORISED


def test_hosts_and_instances_of_the_own_realm_need_a_rule_of_their_own(hospital: Hospital) -> None:
    hospital.realm.add_principal("alice/admin", password="pw")
    admin = hospital.realm.login("alice/admin", "pw", cache="admin")
    rules = ({"match": "*/admin@HOSPITAL.TEST", "user_id": "*"},)
    assert judge(hospital.validator(principals=rules), hospital.ticket(cache=admin)).identity.user_id == "alice"
    assert refusal(hospital, hospital.ticket(cache=admin)).reason is Reason.NOT_AUTHORISED


def test_groups_come_from_the_map_and_from_nowhere_else(hospital: Hospital) -> None:
    groups = {"*@HOSPITAL.TEST": ("staff",), "alice@HOSPITAL.TEST": ("radiology",), "*@PARTNERS.TEST": ("guests",)}
    verified = judge(hospital.validator(groups=groups), hospital.ticket())
    assert verified.identity.groups == {"staff", "radiology"}


def test_a_ticket_without_mutual_authentication_is_refused_where_a_response_is_requested(hospital: Hospital) -> None:
    one_way = hospital.ticket(mutual="none").primary_field
    verified = judge(hospital.validator(), presented(one_way, positive_response_requested=False))
    assert verified.server_response is None
    again = hospital.ticket(mutual="none").primary_field
    refused = refusal(hospital, presented(again, positive_response_requested=True))
    assert refused.reason is Reason.CREDENTIAL_INVALID
    assert "mutual" in refused.detail


@pytest.mark.parametrize("framing", ["raw", "gss"])
def test_an_empty_ticket_is_refused(hospital: Hospital, framing: str) -> None:
    judge(hospital.validator(), hospital.ticket(framing=framing))
    assert refusal(hospital, presented(b"")).reason is Reason.MALFORMED
    assert refusal(hospital, presented(framed_ap_req(b""))).reason is Reason.MALFORMED


@pytest.mark.threat("K11")
def test_a_ticket_cut_off_anywhere_is_refused(hospital: Hospital) -> None:
    validator = hospital.validator()
    judge(validator, hospital.ticket())
    ticket = hospital.ticket().primary_field
    for end in range(len(ticket)):
        with pytest.raises(Refused) as refused:
            judge(validator, presented(ticket[:end]))
        assert refused.value.reason is Reason.MALFORMED
    judge(validator, presented(ticket))


def test_octets_after_the_ticket_are_refused(hospital: Hospital) -> None:
    assert refusal(hospital, spoilt(hospital, lambda ticket: ticket + b"\0")).reason is Reason.MALFORMED


@pytest.mark.threat("K10")
def test_no_flipped_bit_lets_anybody_in_as_somebody_else(hospital: Hospital) -> None:
    """Every octet once: refused, or outside of all that is encrypted and then still alice's one ticket."""
    validator = hospital.validator()
    ticket = hospital.ticket().primary_field
    for position in range(len(ticket)):
        flipped = bytearray(ticket)
        flipped[position] ^= 1 << position % 8
        try:
            identity = judge(validator, presented(bytes(flipped))).identity
        except Refused:
            continue
        assert identity.subject == "alice@HOSPITAL.TEST"


def test_mutants_of_a_real_ticket_are_refused_and_nothing_else_is_raised(hospital: Hospital) -> None:
    """Well-formed ones too: octets exchanged within the ticket and its authenticator, behind our own parser."""
    validator, dice = hospital.validator(), random.Random(1)
    ticket = hospital.ticket().primary_field
    for _ in range(3000):
        mutant = bytearray(ticket)
        for _ in range(dice.randint(1, 3)):
            mutant[dice.randrange(len(ticket))] = dice.randrange(256)
        with contextlib.suppress(Refused):
            assert judge(validator, presented(bytes(mutant))).identity.subject == "alice@HOSPITAL.TEST"


def test_the_encrypted_parts_are_authenticated(hospital: Hospital) -> None:
    """The last octet is the authenticator's."""
    flipped = spoilt(hospital, lambda ticket: ticket[:-1] + bytes([ticket[-1] ^ 1]))
    assert refusal(hospital, flipped).reason is Reason.CREDENTIAL_INVALID


@pytest.mark.parametrize("clock", ["-10m", "+10m"])
@pytest.mark.threat("K9")
def test_a_requestor_whose_clock_is_ten_minutes_off_is_refused(hospital: Hospital, clock: str) -> None:
    """It has its ticket since twelve minutes: no KDC gives one to a clock like this."""
    with hospital.realm.serving_also("-12m") as past:
        cache = past.login("alice", PASSWORD, cache=f"long-ago{clock}", clock="-12m")
        ticket_at(replace(hospital, realm=past), "-12m", cache)
    judge(hospital.validator(), presented(ticket_at(hospital, clock.replace("10", "2"), cache)))
    refused = refusal(hospital, presented(ticket_at(hospital, clock, cache)))
    assert refused.reason is Reason.CREDENTIAL_EXPIRED
    assert "Clock skew" in refused.detail


@pytest.mark.threat("K8")
def test_an_expired_ticket_is_refused_without_a_grace_of_the_clock_skew(hospital: Hospital, tmp_path: Path) -> None:
    """Three minutes ago for two minutes: MIT Kerberos would still take it for its five minutes of clock skew."""
    with hospital.realm.serving_also("-3m") as past:
        hospital = replace(hospital, realm=past)
        cache = past.login("alice", PASSWORD, "-l", "150s", cache="past", clock="-3m")
        fresh = past.login("alice", PASSWORD, "-l", "10m", cache="past-and-long", clock="-3m")
        judge(hospital.validator(), presented(ticket_at(hospital, "-3m", fresh)))
        refused = refusal(hospital, presented(ticket_at(hospital, "-3m", cache)))
    assert refused.reason is Reason.CREDENTIAL_EXPIRED


def test_what_asks_for_another_round_trip_is_refused(hospital: Hospital) -> None:
    """DCE style: a third message would have to follow, and association negotiation has two."""
    flags = [gssapi.RequirementFlag.mutual_authentication, gssapi.RequirementFlag.dce_style]
    requestor = gssapi.SecurityContext(
        name=gssapi.Name(SERVICE, gssapi.NameType.hostbased_service),
        creds=gssapi.Credentials(usage="initiate", store={"ccache": f"FILE:{hospital.alice}"}),
        mech=gssapi.MechType.kerberos,
        flags=flags,  # type: ignore[arg-type]
        usage="initiate",
    )
    assert refusal(hospital, presented(requestor.step())).reason is Reason.CREDENTIAL_INVALID


@pytest.mark.parametrize("identity_type", [None, IdentityType.JWT])
def test_a_credential_of_another_type_is_not_looked_at(hospital: Hospital, identity_type: int | None) -> None:
    ticket = hospital.ticket().primary_field
    other = None if identity_type is None else Credential(identity_type, ticket)
    with pytest.raises(Refused):
        hospital.validator().validate(other, facts(identity_type=identity_type), context())


def test_a_keytab_that_vanished_is_our_trouble_and_not_the_requestors_fault(hospital: Hospital) -> None:
    keytab = hospital.realm.keytab("dicom/pacs.hospital.test", file="vanishing.keytab")
    validator = hospital.validator(keytab=keytab)
    judge(validator, hospital.ticket())
    keytab.unlink()
    with pytest.raises(Unavailable):
        judge(validator, hospital.ticket())
