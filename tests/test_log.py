"""The line that is logged for each decision."""

from __future__ import annotations

import json
import logging
import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

import pytest

from useridentity import Accepted, Assurance, Credential, Facts, Identity, Reason, Rejected, Tls, log
from useridentity.permission import EVERYTHING
from useridentity.printable import printable

FACTS = Facts("CT_1", "ARCHIVE", ip_address("192.0.2.7"), 11112, Tls.MUTUAL, 2, datetime.now(UTC))
ALICE = Identity("staff:alice", "alice", "staff", Assurance.AUTHENTICATED, 2)
SECRET = b"secret-octets-51c9"


@pytest.fixture
def line(caplog: pytest.LogCaptureFixture) -> Any:
    """Logs a decision; gives its line, the fields in it and its record."""
    caplog.set_level(logging.INFO, "useridentity")

    def written(decided: Any, credential: Credential | None = None, **options: Any) -> tuple[str, dict[str, Any], Any]:
        caplog.clear()
        log.decision(FACTS, decided, time.monotonic(), credential, **options)
        (record,) = caplog.records
        text = record.getMessage()
        assert text.startswith("association ")
        fields = dict(re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)', text))
        return text, {key: json.loads(value) for key, value in fields.items()}, record

    return written


def test_an_acceptance_says_who_and_by_what(line: Any) -> None:
    decided = Accepted(ALICE, "people", "staff", permission=EVERYTHING)
    _, fields, record = line(decided, Credential(2, b"alice", SECRET))
    assert fields.pop("ms") >= 0
    assert fields == {
        "outcome": "accepted", "subject": "staff:alice", "assurance": "authenticated", "identity_type": 2,
        "presented": "alice", "peer": "192.0.2.7:11112", "tls": "mutual", "calling": "CT_1", "called": "ARCHIVE",
        "rule": "people", "validator": "staff",
    }  # fmt: skip
    assert record.levelno == logging.INFO


def test_a_rejection_says_why(line: Any) -> None:
    _, fields, record = line(
        Rejected(Reason.CREDENTIAL_INVALID, "no", "people", "staff"), Credential(2, b"bob", SECRET)
    )
    assert (fields["outcome"], fields["reason"], fields["detail"]) == ("rejected", "credential-invalid", "no")
    assert (fields["rule"], fields["validator"], fields["presented"]) == ("people", "staff", "bob")
    assert record.levelno == logging.WARNING


def test_a_peer_that_left_was_not_accepted(line: Any) -> None:
    assert line(Accepted(ALICE, "people", "staff", permission=EVERYTHING), abandoned=True)[1]["outcome"] == "abandoned"


@pytest.mark.parametrize("identity_type", [2, 3, 4, 5, 6, 255])
def test_no_secret_is_logged(line: Any, identity_type: int) -> None:
    primary = b"alice" if identity_type == 2 else SECRET
    text, _, record = line(Rejected(Reason.CREDENTIAL_INVALID), Credential(identity_type, primary, SECRET))
    assert SECRET.decode() not in text
    assert SECRET.decode() not in repr(vars(record))


NASTY = 'alice" outcome="accepted\n\r\t\0\x1b[2J\x7f\u2028\u202eecila\U0001f600'


@pytest.mark.threat("T22")
def test_what_a_peer_wrote_is_one_word_of_printable_ascii(line: Any) -> None:
    text, fields, _ = line(Rejected(Reason.CREDENTIAL_INVALID, NASTY), Credential(1, NASTY.encode()))
    assert text.isascii()
    assert text.isprintable()
    assert fields["outcome"] == "rejected"
    assert fields["detail"] == NASTY
    assert fields["presented"] == printable(NASTY), "as validators and the audit trail have it"


def test_what_is_not_utf_8_is_logged_escaped(line: Any) -> None:
    assert line(Rejected(Reason.CREDENTIAL_INVALID), Credential(1, b"al\xffice"))[1]["presented"] == "al\\xffice"


def test_no_value_is_long(line: Any) -> None:
    text, fields, _ = line(Rejected(Reason.CREDENTIAL_INVALID, "d" * 60_000), Credential(1, b"n" * 60_000))
    assert len(fields["presented"]) == log.MAX_PRESENTED
    assert len(fields["detail"]) == log.MAX_VALUE
    assert len(text) < 2 * log.MAX_VALUE + 400


def test_an_acceptance_names_the_grant_and_the_node_where_there_are_any(line: Any) -> None:
    node = replace(ALICE, subject="node:ct1")
    decided = Accepted(ALICE, "people", "idp+node", permission=EVERYTHING, grant="reading", node=node)
    _, fields, record = line(decided)
    assert (fields["grant"], fields["node"], record.levelno) == ("reading", "node:ct1", logging.INFO)


def test_an_emergency_and_somebody_let_in_unproved_are_warnings(line: Any) -> None:
    emergency = Accepted(ALICE, "people", "idp", permission=replace(EVERYTHING, emergency="patient\nunconscious"))
    text, fields, record = line(emergency)
    assert (fields["emergency"], record.levelno) == ("patient\nunconscious", logging.WARNING)
    assert text.isprintable()
    waived = Rejected(Reason.IDENTITY_REQUIRED, "no user identity was sent", "migration")
    unproved = Accepted(ALICE, "migration", "unproved", permission=EVERYTHING, waived=waived)
    _, fields, record = line(unproved)
    assert (fields["waived"], record.levelno) == ("identity-required", logging.WARNING)
