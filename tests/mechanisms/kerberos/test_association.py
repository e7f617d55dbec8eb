"""Tickets in associations: requestor and acceptor through the pynetdicom adapter, a policy between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pynetdicom import evt

from tests.lib.rawpeer import PduType
from tests.lib.stock import stock_scp
from tests.mechanisms.kerberos.hospital import SERVICE, Hospital, judge
from tests.pynetdicom.fake_acceptor import FakeAcceptor, associate_ac, server_response
from tests.pynetdicom.support import echo, requestor, serving
from useridentity.credential import Confirmation
from useridentity.decision import REFUSED
from useridentity.mechanisms.kerberos import Kerberos
from useridentity.mechanisms.kerberos.requestor import Framing
from useridentity.policy import Policy, Rule
from useridentity.pynetdicom import identity_of, outcome_of
from useridentity.pynetdicom.requestor import Outcome, OutcomeKind

POLICY = """\
version = 1

[validator.realm]
type = "kerberos"
service = "{service}"
keytab = "{keytab}"
principals = [{{ match = "*@HOSPITAL.TEST", user_id = "*" }}]

[[authenticate]]
name = "people"
accept = ["realm"]
"""


def policy(hospital: Hospital) -> Policy:
    return Policy([Rule([hospital.validator()])])


def outcome(port: int, provider: Kerberos, **options: Any) -> Outcome:
    """How an association with one C-ECHO went."""
    association = requestor().associate("127.0.0.1", port, identity=provider, **options)
    if association.is_established:
        assert echo(association) == 0x0000
        association.release()
    return outcome_of(association)


@pytest.mark.parametrize("framing", ["raw", "gss"])
def test_a_user_with_a_ticket_is_let_in_and_the_acceptor_is_proved(hospital: Hospital, framing: Framing) -> None:
    subjects: list[str] = []

    def on_echo(event: evt.Event) -> int:
        subjects.append(identity_of(event).subject)
        return 0x0000

    with serving(policy(hospital), handlers=[(evt.EVT_C_ECHO, on_echo)]) as acceptor:
        ended = outcome(acceptor.port, Kerberos(SERVICE, cache=hospital.alice, framing=framing))
    assert ended.kind is OutcomeKind.CONFIRMED
    assert ended.confirmation == Confirmation("dicom/pacs.hospital.test@HOSPITAL.TEST", mutual=True)
    assert subjects == ["alice@HOSPITAL.TEST"]


def test_a_policy_file_does_the_same(hospital: Hospital, tmp_path: Path) -> None:
    file = tmp_path / "identity.toml"
    file.write_text(POLICY.format(service=SERVICE, keytab=hospital.keytab))
    with serving(Policy.load(file)) as acceptor:
        assert outcome(acceptor.port, Kerberos(SERVICE, cache=hospital.alice)).kind is OutcomeKind.CONFIRMED
        assert identity_of(acceptor.served[0]).user_id == "alice"


def test_a_user_whom_no_rule_matches_is_rejected(hospital: Hospital) -> None:
    with serving(policy(hospital)) as acceptor:
        ended = outcome(acceptor.port, Kerberos(SERVICE, cache=hospital.bob))
        assert ended.kind is OutcomeKind.REJECTED
        assert ended.answer == REFUSED
        assert not acceptor.served


@pytest.mark.threat("K13")
def test_an_acceptor_without_the_services_key_is_not_confirmed_before_any_dimse_message(hospital: Hospital) -> None:
    """It accepts everybody, and answers with nothing, with a ticket, or with the answer to an earlier one."""
    provider = Kerberos(SERVICE, cache=hospital.alice)
    earlier = judge(hospital.validator(), hospital.ticket()).server_response
    assert earlier
    for answer in (b"", hospital.ticket().primary_field, earlier):
        with FakeAcceptor(associate_ac(server_response(answer))) as acceptor:
            assert outcome(acceptor.port, provider).kind is OutcomeKind.NOT_CONFIRMED
        assert acceptor.received == [PduType.ABORT]


def test_an_acceptor_that_ignores_the_ticket_is_not_confirmed_unless_that_is_all_the_same(hospital: Hospital) -> None:
    provider = Kerberos(SERVICE, cache=hospital.alice)
    with FakeAcceptor(associate_ac()) as acceptor:
        assert outcome(acceptor.port, provider).kind is OutcomeKind.NOT_CONFIRMED
    assert acceptor.received == [PduType.ABORT]
    with stock_scp() as scp:
        assert outcome(scp.port, provider, confirmation="wanted").kind is OutcomeKind.ACCEPTED


def test_one_way_tickets_are_accepted_where_no_response_is_asked_for(hospital: Hospital) -> None:
    provider = Kerberos(SERVICE, cache=hospital.alice, mutual="none")
    with serving(policy(hospital)) as acceptor:
        assert outcome(acceptor.port, provider, confirmation="none").kind is OutcomeKind.ACCEPTED
        assert outcome(acceptor.port, provider, confirmation="required").answer == REFUSED
