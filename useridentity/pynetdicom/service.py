"""What is done for an accepted peer: every request is judged before any handler runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from pynetdicom import evt
from pynetdicom.dimse_primitives import C_MOVE

from useridentity import dimse
from useridentity.decision import Accepted
from useridentity.facts import Facts
from useridentity.identity import Identity
from useridentity.permission import NOTHING, Permission
from useridentity.pynetdicom.messages import GuardedDIMSE
from useridentity.pynetdicom.reactor import PromptAssociation
from useridentity.pynetdicom.requests import NOT_AUTHORIZED, NOT_PERMITTED, PROOF_ENDED, objection, refusal
from useridentity.pynetdicom.scoped import Refusal, Scoping, StudyLookup

if TYPE_CHECKING:
    from pynetdicom.ae import ApplicationEntity
    from pynetdicom.presentation import PresentationContext

LOGGER = logging.getLogger("useridentity.pynetdicom")

MAX_LATE = 64
"""Requests refused after the end of a proof before the association is aborted though others wait: more than are read
ahead, and a peer that goes on asking does not stay."""


@dataclass(slots=True)
class Move:
    """A C-MOVE that is being served.

    Fields:
        permission: says what it may reach.
        destination: its Move Destination.
        place: host and port that the handler has yielded for it; None before.
    """

    permission: Permission
    destination: str
    place: tuple[object, ...] | None = None

    def allows(self, ae_title: str, place: tuple[object, int], address: IPv4Address | IPv6Address) -> bool:
        """Whether an association to `ae_title` at `place`, host and port, may be opened meanwhile; it is at `address`.

        The permission is about the Move Destination, whatever AE title the handler gives it; what else a handler
        asks, of an archive behind it say, is its own affair.
        """
        is_destination = ae_title.strip() == self.destination or place == self.place
        return not is_destination or self.permission.reaches(self.destination, address)

    def watching(self, handler: Callable[..., Iterable[Any]], event: evt.Event, *args: Any) -> Iterator[Any]:
        """The answers of a handler of EVT_C_MOVE, the first of which says where the destination is."""
        return self._noting_place(handler(event, *args))

    def _noting_place(self, answers: Iterable[Any]) -> Iterator[Any]:
        answers = iter(answers)
        for place in islice(answers, 1):
            with suppress(TypeError):  # no place at all, which pynetdicom answers with C515H
                self.place = tuple(place[:2])
            yield place
        yield from answers


SERVING_MOVE: ContextVar[Move | None] = ContextVar("serving_move", default=None)
"""Set while a C-MOVE request is served: associations opened then must fail quietly, so that the move is
answered with A801H (PS3.4 C.4.2.1.5)."""


class Admission(NamedTuple):
    """What an association was accepted for, and as what: to be reconsidered when the policy is reloaded."""

    facts: Facts
    accepted: Accepted


class ServingAssociation(PromptAssociation):
    """An association whose peer is served what its permission allows, for as long as its proof lasts."""

    dimse: GuardedDIMSE

    def __init__(self, ae: ApplicationEntity, mode: str) -> None:
        self.identity: Identity | None = None
        self.admission: Admission | None = None
        self._scoping: Scoping | None = None
        self._ends = float("inf")
        self._late = 0
        self.aborted_for = ""
        super().__init__(ae, mode)
        self.dimse = GuardedDIMSE(self)

    @property
    def permission(self) -> Permission | None:
        """What the association requestor may do; None before it is accepted."""
        return self.admission.accepted.permission if self.admission is not None else None

    @property
    def scope_lookup(self) -> StudyLookup | None:
        """What is asked about studies; None for the application's own handler of EVT_C_FIND."""
        return None

    @property
    def scoping(self) -> Scoping | None:
        """What the scope of the association requestor means here; None where there is no scope."""
        accepted = self.admission.accepted if self.admission is not None else None
        if accepted is None or accepted.permission.scope is None:
            return None
        if self._scoping is None or self._scoping.accepted is not accepted:  # a reloaded policy may have another one
            self._scoping = Scoping(self, accepted, self.scope_lookup)
        return self._scoping

    def get_handlers(self, event: Any) -> Any:
        bound: Any = super().get_handlers(event)
        scoping, move = self.scoping, SERVING_MOVE.get()
        if scoping is not None:
            bound = scoping.guarding(event, bound)
        if event is evt.EVT_C_MOVE and move is not None and bound[0] is not None:
            handler, args = bound
            return partial(move.watching, handler), args
        return bound

    def incoming(self, pdu: bytearray) -> bytearray:
        if pdu[0] == dimse.P_DATA_TF:
            self.dimse.examine(pdu)
        return pdu

    def _serve_what_came(self) -> None:
        super()._serve_what_came()
        if self.is_established and self.is_over and not self._has_work_left:
            LOGGER.info("the proof of %s has ended: aborting", self.identity)
            self.abort_for(PROOF_ENDED)

    @property
    def _has_work_left(self) -> bool:
        """Whether, the proof having ended, something is still being done, or is to be refused before the abort."""
        return self.dimse.serves_apart or (not self.dimse.msg_queue.empty() and self._late < MAX_LATE)

    def abort_for(self, reason: str, *, block: bool = True) -> None:
        """Abort, on our own account; `reason` is for the audit trail."""
        self.aborted_for = reason
        self.abort(block=block)

    @property
    def is_full(self) -> bool:
        return self.dimse.is_full

    @property
    def is_over(self) -> bool:
        """Whether the proof of identity, or the longest time for an association, has ended."""
        return time.monotonic() >= self._ends

    def _serve_request(self, msg: Any, context_id: int) -> None:
        with self.dimse.serving(msg, context_id):
            self._serve_or_refuse(msg, context_id)

    def _serve_or_refuse(self, msg: Any, context_id: int) -> None:
        context = self._accepted_cx.get(context_id)
        if not self.is_established:
            LOGGER.info("%s came for an association that is over", msg.msg_type)
        elif context is None or not msg.is_valid_request:
            super()._serve_request(msg, context_id)  # which serves neither
        elif refused := self._judge(msg, context):
            self._refuse(msg, context_id, refused)
        else:
            self._serve(msg, context_id)

    def _judge(self, request: Any, context: PresentationContext) -> Refusal | None:
        """How a request is refused; None where it is to be served."""
        if self.is_over:
            self._late += 1
            return Refusal(NOT_AUTHORIZED, PROOF_ENDED, PROOF_ENDED)
        reason = objection(self.permission or NOTHING, request, context)
        if reason:
            LOGGER.warning("%s is not permitted %s", self.identity, reason)
            return Refusal(NOT_AUTHORIZED, NOT_PERMITTED, reason)
        refused = self.scoping.refuses(request, context) if self.scoping is not None else None
        if refused:
            LOGGER.warning("%s is out of scope: %s", self.identity, refused.detail)
        return refused

    def _refuse(self, request: Any, context_id: int, refused: Refusal) -> None:
        """Answer as `refused` says; where the service has no such status, abort."""
        response = refusal(request, refused.comment, refused.status)
        if response is not None:
            self.dimse.send_msg(response, context_id)
        elif not self.is_over:  # else the abort is due anyway, once what is running has finished
            self.abort()

    def _serve(self, request: Any, context_id: int) -> None:
        is_move = isinstance(request, C_MOVE)
        move = Move(self.permission or NOTHING, request.MoveDestination.strip()) if is_move else None
        token = SERVING_MOVE.set(move)
        try:
            super()._serve_request(request, context_id)
        finally:
            SERVING_MOVE.reset(token)
