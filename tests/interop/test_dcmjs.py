"""dcmjs-dimse on node: against our acceptor and against our requestor."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lib import node
from tests.pynetdicom.support import PASSCODE, requestor, serving
from useridentity import Policy, Username, UsernamePasscode
from useridentity.pynetdicom import OutcomeKind, identity_of, outcome_of

ALICE = UsernamePasscode("alice", PASSCODE, plaintext="allow")


@pytest.mark.parametrize("respond", [True, False])
@pytest.mark.parametrize(
    ("identity", "subject"), [((1, b"alice"), "username:alice"), ((2, b"alice", PASSCODE), "passcode:alice")]
)
def test_the_node_scu_is_accepted_as_who_it_is(identity: Any, subject: str, respond: bool) -> None:
    with serving() as acceptor:
        seen = node.run_scu(acceptor.port, identity=node.identity(*identity, respond=respond))
        assert seen == {"outcome": "accepted", "serverResponse": "" if respond else None, "echo": 0}
        assert [identity_of(event).subject for event in acceptor.served] == [subject]


@pytest.mark.parametrize(
    "identity",
    [None, (1, b""), (2, b"alice", b"wrong"), (2, b"alice", b""), (3, b"ticket"), (4, b"<Assertion/>"), (5, b"a.b.c")],
    ids=repr,
)
def test_the_node_scu_is_rejected_for_good(identity: Any) -> None:
    with serving() as acceptor:
        config: dict[str, Any] = {} if identity is None else {"identity": node.identity(*identity, respond=True)}
        seen = node.run_scu(acceptor.port, **config)
        assert (seen["outcome"], seen["result"], seen["source"], seen["reason"]) == ("rejected", 1, 2, 1)
        assert acceptor.served == []


def test_the_node_scp_sees_the_identity_and_its_confirmation_counts() -> None:
    with node.scp(server_response=b"") as scp:
        assoc = requestor().associate("127.0.0.1", scp.port, ae_title="NODE", identity=ALICE)
        assert outcome_of(assoc).kind is OutcomeKind.CONFIRMED
        assert assoc.send_c_echo().Status == 0
        assoc.release()
        assert scp.next_association() == {
            "calling": "SCU",
            "called": "NODE",
            "identity": {
                "type": 2,
                "positiveResponseRequested": True,
                "primary": b"alice".hex(),
                "secondary": PASSCODE.hex(),
            },
        }


def test_a_silent_node_scp_has_confirmed_nothing() -> None:
    with node.scp() as scp:
        required = requestor().associate("127.0.0.1", scp.port, identity=Username("alice"))
        assert outcome_of(required).kind is OutcomeKind.NOT_CONFIRMED
        wanted = requestor().associate("127.0.0.1", scp.port, identity=Username("alice"), confirmation="wanted")
        assert outcome_of(wanted).kind is OutcomeKind.ACCEPTED
        wanted.release()


def test_a_node_scp_that_answers_what_was_not_asked_has_confirmed_nothing() -> None:
    with node.scp(server_response=b"surprise") as scp:
        assoc = requestor().associate("127.0.0.1", scp.port, identity=Username("alice"))
        assert outcome_of(assoc).kind is OutcomeKind.NOT_CONFIRMED


def test_a_node_scp_that_rejects_is_understood() -> None:
    with node.scp(reject=(1, 2, 1)) as scp:
        assoc = requestor().associate("127.0.0.1", scp.port, identity=ALICE)
        assert outcome_of(assoc).answer == (1, 2, 1)


def test_the_node_scu_gets_through_an_unguarded_server_without_a_confirmation() -> None:
    with serving(Policy.unguarded()) as acceptor:
        seen = node.run_scu(acceptor.port, identity=node.identity(1, b"alice", respond=True))
        assert seen == {"outcome": "accepted", "serverResponse": None, "echo": 0}
