"""What an association of a guarded server tells the audit trail: every decision, every request and its end.

A policy without `[audit]` has no trail; then all of this passes everything on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pydicom import Dataset
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

from useridentity.audit.association import AssociationTrail, Ends, application_entity, outcome_of
from useridentity.audit.record import MAX_IDENTIFIER, EndedBy, Kind, Operation, Outcome, Record, Requestor, Study, text
from useridentity.audit.trail import Trail
from useridentity.audit.transfers import Instance, Transfers, created_as
from useridentity.credential import Credential
from useridentity.decision import Decision, Reason, Rejected
from useridentity.errors import ConfigurationError, Unavailable
from useridentity.facts import Facts, peer_address
from useridentity.pynetdicom.messages import CANCELLABLE, GuardedDIMSE
from useridentity.pynetdicom.scoped import Refusal
from useridentity.pynetdicom.service import ServingAssociation
from useridentity.pynetdicom.touched import instance_received, instance_sent, studies_of
from useridentity.tls.peer import TlsPeer

if TYPE_CHECKING:
    from pynetdicom.ae import ApplicationEntity

RELEASE_RQ, RELEASE_RP, ABORT = 5, 6, 7
"""PDU-types that end an association (PS3.8 9.3.6 to 9.3.8)."""

PENDING = (0xFF00, 0xFF01)
"""Statuses of a response that others follow (PS3.7 Annex C)."""

UNAVAILABLE = {"C-STORE": 0xA700, "C-FIND": 0xA700, "C-MOVE": 0xA702, "C-GET": 0xA702}
"""Statuses while nothing can be recorded: Refused, Out of Resources (PS3.4 Tables B.2-1, C.4-1 to C.4-3), which a
peer tries again; 0124H would tell a user for good that he is not authorized. Others have 0110H, Processing failure,
which the DIMSE-N services list (PS3.7 10.1) and those of DIMSE-C do not."""

PROCESSING_FAILURE = 0x0110

UNRECORDED = ("C-ECHO",)
"""Requests that touch nothing."""


@dataclass(slots=True)
class Served:
    """A request that is being served, and what has come of it so far."""

    trail: AssociationTrail
    operation: Operation
    instance: Instance | None = None
    asked: tuple[Study, ...] = ()
    sent: Transfers = field(default_factory=Transfers)

    def answered(self, response: Any) -> None:
        """A response goes out; that to an N-CREATE may say which UID the instance was given (PS3.7 10.1.5.1.4)."""
        status, request = response.Status, self.operation.request
        if request == "N-CREATE" and response.AffectedSOPInstanceUID:
            self.asked = created_as(str(response.AffectedSOPInstanceUID), self.asked)
        if status not in PENDING:
            self.operation = replace(self.operation, status=status)
        elif request == "C-FIND":
            self.operation = replace(self.operation, matches=self.operation.matches + 1)

    def sub_operation(self, instance: Instance, status: int | None, address: str) -> None:
        """An instance went to the destination, or did not."""
        self.operation = replace(self.operation, destination_address=address)
        self.trail.sends(self.operation, self.sent, instance, outcome_of(status))

    def ended(self) -> None:
        """The request has been served, well or not."""
        request = self.operation.request
        if self.instance is not None:
            self.trail.stored(self.operation, self.instance)
        elif request == "C-FIND":
            self.trail.queried(self.operation, self.asked)
        elif request in ("C-MOVE", "C-GET"):
            self.trail.retrieved(self.operation, self.sent, self.asked)
        else:
            self.trail.performed(self.operation, self.asked)


SERVED: ContextVar[Served | None] = ContextVar("served", default=None)
"""The request that the running thread serves: what it sends meanwhile belongs to it."""


class WatchedDIMSE(GuardedDIMSE):
    """Sees the responses that go out."""

    def send_msg(self, primitive: Any, context_id: int) -> None:
        served = SERVED.get()
        if served is not None and served.trail is self.assoc.audit and self._is_answer(primitive):  # type: ignore[attr-defined]
            served.answered(primitive)
        super().send_msg(primitive, context_id)

    def _is_answer(self, message: Any) -> bool:
        """Whether this is a response that counts; not one about results to a peer that has gone: pynetdicom breaks off
        what it finds or retrieves, and answers as if that had been all."""
        is_void = isinstance(message, CANCELLABLE) and self.assoc.acse.is_aborted()
        return bool(message.is_valid_response) and not is_void


class SubOperations(Association):
    """An association that may carry sub-operations of a C-MOVE or C-GET that somebody else has asked for."""

    def send_c_store(self, dataset: Any, *args: Any, **kwargs: Any) -> Dataset:
        served = SERVED.get()
        if served is None or served.operation.request not in ("C-MOVE", "C-GET"):
            return super().send_c_store(dataset, *args, **kwargs)
        status = None
        try:
            answer = super().send_c_store(dataset, *args, **kwargs)
            status = answer.get("Status")
            return answer
        finally:
            receiver = self.requestor if self.is_acceptor else self.acceptor
            address = receiver.address_info.address if receiver.address_info else ""
            served.sub_operation(instance_sent(dataset), status, address)


class AuditedAssociation(SubOperations, ServingAssociation):
    """An acceptor's association that tells its trail, where it has one."""

    def __init__(self, ae: ApplicationEntity, mode: str, trail: Trail | None) -> None:
        self.audit = AssociationTrail(trail) if trail is not None else None
        self._ended_by: EndedBy | None = None
        self._octets = [0, 0]
        self.tls_peer: TlsPeer | None = None
        super().__init__(ae, mode)
        self.dimse = WatchedDIMSE(self)

    def recorded(self, decision: Decision, facts: Facts, credential: Credential | None) -> Decision:
        """The decision that may be told: another one where it must be recorded first and cannot be."""
        if self.audit is None:
            return decision
        own = self.acceptor.address_info
        subject = self.tls_peer.subject if self.tls_peer is not None else ""
        ends = Ends.of(facts, own.address if own else "", own.port if own else 0, subject)
        told = self.audit.decided(decision, credential, ends)
        if isinstance(told, Rejected):
            self.admission = None
        elif self.admission is not None and self.admission.accepted is not told:  # by a reload, meanwhile
            self.audit.reconsidered(self.admission.accepted)
        return told

    def record_reconsidered(self, decision: Decision) -> None:
        """The policy was reloaded, and this is what it says of the association now."""
        if self.audit is not None:
            self.audit.reconsidered(decision)

    def record_established(self) -> None:
        """The peer was told that it is accepted, unless a handler aborted instead."""
        if self.audit is not None and self.is_established:
            self.audit.established()

    def record_end(self) -> None:
        """The association is over, however it ended; for one that was never accepted nothing is recorded here."""
        if self.audit is not None:
            by = self._ended_by or EndedBy.CONNECTION
            received, sent = self._octets
            why = self.aborted_for
            self.audit.ended(by, released=self.is_released, detail=why, octets_received=received, octets_sent=sent)

    # What passes.

    def incoming(self, pdu: bytearray) -> bytearray:
        self._octets[0] += len(pdu)
        if pdu[0] in (RELEASE_RQ, ABORT):
            self._ended_by = self._ended_by or EndedBy.REQUESTOR
        return super().incoming(pdu)

    def outgoing(self, pdu: bytes) -> bytes:
        self._octets[1] += len(pdu)
        if pdu[0] in (RELEASE_RQ, ABORT):
            self._ended_by = self._ended_by or EndedBy.ACCEPTOR
        return super().outgoing(pdu)

    # What is asked.

    def _refuse(self, request: Any, context_id: int, refused: Refusal, reason: Reason = Reason.NOT_AUTHORISED) -> None:
        if self.audit is not None:
            operation = replace(self._operation(request, context_id), status=refused.status)
            studies = self.audit.about(studies_of(request, self._accepted_cx[context_id]))
            self.audit.refused(operation, refused.detail, reason, studies)
        super()._refuse(request, context_id, refused)

    def _serve(self, request: Any, context_id: int) -> None:
        if self.audit is None or request.msg_type in UNRECORDED:
            super()._serve(request, context_id)
            return
        try:
            served = self._begun(self.audit, request, context_id)
        except Unavailable as unavailable:
            status = UNAVAILABLE.get(request.msg_type, PROCESSING_FAILURE)
            refused = Refusal(status, "the audit trail cannot be written", unavailable.detail)
            self._refuse(request, context_id, refused, Reason.AUDIT_UNAVAILABLE)
            return
        token = SERVED.set(served)
        try:
            super()._serve(request, context_id)
        finally:
            SERVED.reset(token)
            served.ended()

    def _begun(self, trail: AssociationTrail, request: Any, context_id: int) -> Served:
        """What is served, once it is recorded that it is."""
        operation = self._operation(request, context_id)
        if isinstance(request, C_STORE):
            instance = instance_received(request, self._accepted_cx[context_id])
            trail.begins_store(operation, instance)
            return Served(trail, operation, instance)
        asked = trail.about(studies_of(request, self._accepted_cx[context_id]))
        trail.begins(operation, asked)
        return Served(trail, operation, asked=asked)

    def _operation(self, request: Any, context_id: int) -> Operation:
        uid = getattr(request, "AffectedSOPClassUID", None) or getattr(request, "RequestedSOPClassUID", None)
        identifier = getattr(request, "Identifier", None)
        octets = identifier.getvalue() if identifier is not None else b""
        return Operation(
            request=request.msg_type,
            sop_class=str(uid or ""),
            message_id=request.MessageID or 0,
            destination=text((getattr(request, "MoveDestination", None) or "").strip()),
            transfer_syntax=str(self._accepted_cx[context_id].transfer_syntax[0]) if octets else "",
            identifier=octets[:MAX_IDENTIFIER],
            truncated=len(octets) > MAX_IDENTIFIER,
        )


class AuditedServer:
    """A server's part of the trail: it is open while the server is, and has its start, its stop, its reloads, and whom
    it turns away at the door."""

    def __init__(self, trail: Trail | None, ae_title: str, address: Any) -> None:
        self._trail = trail
        self._own = application_entity(ae_title, *address[:2])
        if trail is not None:
            trail.hold()
            trail.note(Record(Kind.APPLICATION_STARTED, acceptor=self._own))

    def stop(self) -> None:
        """The server has ended; calling twice does nothing."""
        trail, self._trail = self._trail, None
        if trail is not None:
            trail.note(Record(Kind.APPLICATION_STOPPED, acceptor=self._own))
            trail.let_go()

    def refused(self, rejected: Rejected, peer: Any) -> None:
        """A connection from `peer`, host and port, was closed as soon as it was accepted; never waits."""
        if self._trail is not None:
            requestor = Requestor(address=str(peer_address(peer[0])), port=peer[1])
            AssociationTrail(self._trail).decided(rejected, None, Ends(requestor, self._own))

    @contextmanager
    def reload(self) -> Iterator[None]:
        """Record a reload of the policy, and whether it failed."""
        outcome, detail = Outcome.SUCCESS, ""
        try:
            yield
        except ConfigurationError as error:
            outcome, detail = Outcome.FAILED, text(error)
            raise
        finally:
            if self._trail is not None:
                self._trail.note(Record(Kind.POLICY_RELOADED, outcome, detail=detail, acceptor=self._own))
