"""What is done for an accepted peer: every request is judged before any handler runs."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from contextvars import ContextVar
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, NamedTuple

from pynetdicom.dimse_primitives import C_FIND, C_GET, C_MOVE, C_STORE

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


class Move(NamedTuple):
    """A C-MOVE that is being served: what it may reach, and its Move Destination."""

    permission: Permission
    destination: str

    def allows(self, ae_title: str, address: IPv4Address | IPv6Address) -> bool:
        """Whether an association to `ae_title` at `address` may be opened meanwhile.

        The permission is about the Move Destination; what else a handler asks, of an archive behind it say, is
        its own affair.
        """
        return ae_title.strip() != self.destination or self.permission.reaches(self.destination, address)


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
        bound = super().get_handlers(event)
        scoping = self.scoping
        return bound if scoping is None else scoping.guarding(event, bound)

    def incoming(self, pdu: bytearray) -> bytearray:
        if pdu[0] == dimse.P_DATA_TF:
            self.dimse.examine(pdu)
        return pdu

    def _serve_what_came(self) -> None:
        super()._serve_what_came()
        if self.is_established and self._is_over:
            LOGGER.info("the proof of %s has ended: aborting", self.identity)
            self.abort()

    @property
    def _is_over(self) -> bool:
        """Whether the proof of identity, or the longest time for an association, has ended."""
        return time.monotonic() >= self._ends

    def _serve_request(self, msg: Any, context_id: int) -> None:
        context = self._accepted_cx.get(context_id)
        if context is None or not msg.is_valid_request:
            super()._serve_request(msg, context_id)  # which serves neither
        elif refused := self._judge(msg, context):
            self._refuse(msg, context_id, refused)
        else:
            self._serve(msg, context_id)

    def _judge(self, request: Any, context: PresentationContext) -> Refusal | None:
        """How a request is refused; None where it is to be served."""
        if self._is_over:
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
        if isinstance(request, C_STORE) and request._dataset_path is not None:  # _config.STORE_RECV_CHUNKED_DATASET
            _discard(request)
        response = refusal(request, refused.comment, refused.status)
        if response is None:
            self.abort()
        else:
            self.dimse.send_msg(response, context_id)

    def _serve(self, request: Any, context_id: int) -> None:
        is_move = isinstance(request, C_MOVE)
        move = Move(self.permission or NOTHING, request.MoveDestination.strip()) if is_move else None
        token = SERVING_MOVE.set(move)
        is_cancellable = isinstance(request, C_FIND | C_GET | C_MOVE)
        try:
            if is_cancellable:
                self.dimse.serving = context_id, request.MessageID
            super()._serve_request(request, context_id)
        finally:
            if is_cancellable:
                self.dimse.serving = None
            SERVING_MOVE.reset(token)


def _discard(request: Any) -> None:
    """Delete the file that pynetdicom has put a data set into."""
    request._dataset_file.close()
    with suppress(OSError):  # whoever uses it still, keeps it
        request._dataset_path.unlink()
