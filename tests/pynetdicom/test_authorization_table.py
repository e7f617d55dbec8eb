"""The pynetdicom adapter does with every case of the table what the table says."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from struct import pack
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import build_context, evt
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.pdu import A_ASSOCIATE_AC, P_DATA_TF

from tests.cases.core import credential_of
from tests.cases.policies import load_policies
from tests.cases.table import REJECTED, SUPPORTED, Answer, Ask, Case, Driver, Observed, Roles, load
from tests.lib.certificates import Certificates
from tests.lib.commands import request
from tests.lib.pdus import associate_rq, item, pdu, presentation_context, user_identity
from tests.lib.rawpeer import Pdu, PduType, RawPeer
from tests.pynetdicom.support import Acceptor, serving
from useridentity import Policy
from useridentity.testing.tokens import TokenIssuer
from useridentity.tls import client_context, server_context

POLICIES, CASES = load()

HANDLED = [
    evt.EVT_C_ECHO, evt.EVT_C_STORE, evt.EVT_C_FIND, evt.EVT_C_GET, evt.EVT_C_MOVE, evt.EVT_N_GET, evt.EVT_N_SET,
    evt.EVT_N_ACTION, evt.EVT_N_CREATE, evt.EVT_N_DELETE, evt.EVT_N_EVENT_REPORT,
]  # fmt: skip


def role_selection(uid: str, roles: Roles) -> bytes:
    """A 54H sub-item (PS3.7 Table D.3-9)."""
    return item(0x54, pack(">H", len(uid)) + uid.encode() + bytes(roles))


@dataclass
class Guarded:
    """A server of one policy, and the requests that reached a handler."""

    acceptor: Acceptor
    handled: list[str]


class PynetdicomDriver:
    """Runs cases with a raw peer against guarded servers, one for each policy with TLS and one without."""

    def __init__(self, policies: Mapping[str, Policy], issuer: TokenIssuer, certificates: Certificates) -> None:
        self._issuer = issuer
        self._certificates = certificates
        self._running = ExitStack()
        self._servers = {
            (name, secured): self._start(policy, secured) for name, policy in policies.items() for secured in (0, 1)
        }

    def close(self) -> None:
        self._running.close()

    def run(self, case: Case) -> Observed:
        server = self._servers[case.policy, case.identity.node]
        server.handled.clear()
        with self._peer(server.acceptor.port, case) as peer:
            peer.send(self._request(case))
            answer = peer.read_pdu()
            if not isinstance(answer, Pdu) or answer.type is not PduType.ASSOCIATE_AC:
                rejected = isinstance(answer, Pdu) and answer.answer == (1, 2, 1)
                return Observed(REJECTED if rejected else str(answer))
            granted = _granted(answer, case)
            outcome: Answer = ""
            if case.ask is not None:
                peer.send(_message(case.ask))
                outcome = _outcome(peer.read_pdu())
                assert server.handled == ([case.ask.kind.replace("-", "_")] if outcome == "served" else [])
        return Observed(granted, outcome)

    def _start(self, policy: Policy, secured: int) -> Guarded:
        handled: list[str] = []

        def note(event: evt.Event) -> Any:
            handled.append(event.event.name.removeprefix("EVT_"))
            return _reply(event)

        certificates = self._certificates
        tls = server_context(*certificates.server, client_ca=certificates.ca) if secured else None
        contexts = [build_context(uid) for uid in SUPPORTED]
        for context in contexts:
            context.scu_role = context.scp_role = True
        running = serving(policy, tls=tls, contexts=contexts, handlers=[(event, note) for event in HANDLED])
        return Guarded(self._running.enter_context(running), handled)

    def _peer(self, port: int, case: Case) -> RawPeer:
        tls: ssl.SSLContext | None = None
        if case.identity.node:
            tls = client_context(self._certificates.ca, *self._certificates.client)
        return RawPeer(port, source=case.identity.address, tls=tls)

    def _request(self, case: Case) -> bytes:
        credential = credential_of(case, self._issuer)
        items = [] if credential is None else [user_identity(credential.identity_type, credential.primary_field)]
        items += [role_selection(each.abstract_syntax, each.roles) for each in case.offers if each.roles is not None]
        contexts = tuple(presentation_context(2 * i + 1, each.abstract_syntax) for i, each in enumerate(case.offers))
        return associate_rq(*items, contexts=contexts, called="ARCHIVE", calling=case.identity.calling)


def _reply(event: evt.Event) -> Any:
    if event.event in (evt.EVT_C_ECHO, evt.EVT_C_STORE, evt.EVT_N_DELETE):
        return 0x0000
    if event.event in (evt.EVT_C_FIND, evt.EVT_C_GET, evt.EVT_C_MOVE):
        return iter(())
    return 0x0000, Dataset()


def _granted(answer: Pdu, case: Case) -> tuple[str, ...]:
    """What became of each context, as the requestor reads the A-ASSOCIATE-AC (PS3.7 D.3.3.4)."""
    read = A_ASSOCIATE_AC()
    read.decode(pdu(2, answer.body))
    assert read.user_information
    results: dict[int | None, int | None] = {each.context_id: each.result for each in read.presentation_context}
    selected = {str(each.uid): each for each in read.user_information.role_selection.values()}
    granted = []
    for index, offer in enumerate(case.offers):
        answered = selected.get(offer.abstract_syntax)
        roles = Roles(bool(answered.scu), bool(answered.scp)) if answered else Roles(True, False)
        result = results[2 * index + 1]
        assert result in (0, 1), result  # acceptance or user-rejection
        granted.append("refused" if result else str(roles))
    return tuple(granted)


def _message(ask: Ask) -> bytes:
    return request(ask.kind, ask.sop_class, 2 * ask.index + 1, destination=ask.destination)


def _outcome(answer: Any) -> Answer:
    if answer.type is PduType.ABORT:
        return "aborted"
    read, message = P_DATA_TF(), DIMSEMessage()
    read.decode(pdu(4, answer.body))
    message.decode_msg(read.to_primitive())
    if message.command_set.Status != 0x0124:
        return "served"
    assert message.command_set.ErrorComment == "not authorized"
    return "refused"


@pytest.fixture(scope="module")
def driver(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    issuer = TokenIssuer()
    policies = load_policies(POLICIES, tmp_path_factory.mktemp("policies"), issuer, certificates.ca)
    driver = PynetdicomDriver(policies, issuer, certificates)
    yield driver
    driver.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.threat("D1")
def test_the_adapter_does_what_the_table_says(driver: Driver, case: Case) -> None:
    assert driver.run(case) == Observed(case.grants, case.answer)
