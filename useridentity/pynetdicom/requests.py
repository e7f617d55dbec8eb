"""DIMSE requests of an accepted peer: which belong where, what is asked of the permission, and how one is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pynetdicom.dimse_primitives import C_ECHO, C_MOVE, N_EVENT_REPORT

from useridentity.permission import Permission, Request

if TYPE_CHECKING:
    from pynetdicom.presentation import PresentationContext

NOT_AUTHORIZED = 0x0124
"""Refused: Not Authorized (PS3.7 C.5.25)."""

PROOF_ENDED = "the user's proof of identity has ended"
NOT_PERMITTED = "not authorized"
"""Error Comments, of at most 64 characters (PS3.7 E.2), that say nothing about the policy."""


def is_scu(kind: str) -> bool:
    """Whether requests of this kind are the SCU's: all but N-EVENT-REPORT (PS3.7 7.5, 9.1, 10.1)."""
    return kind != "N-EVENT-REPORT"


def objection(permission: Permission, primitive: Any, context: PresentationContext) -> str:
    """Why this request, which belongs to its context, is not permitted; empty where it is."""
    uid = getattr(primitive, "AffectedSOPClassUID", None) or getattr(primitive, "RequestedSOPClassUID", None)
    kind = primitive.msg_type
    destination = (primitive.MoveDestination or "").strip() if isinstance(primitive, C_MOVE) else ""
    return permission.denies(Request(kind, str(uid), str(context.abstract_syntax), is_scu(kind), destination))


def refusal(request: Any, comment: str, status: int = NOT_AUTHORIZED) -> Any | None:
    """The response that refuses `request`; None for C-ECHO and N-EVENT-REPORT, whose statuses have no such one."""
    if isinstance(request, C_ECHO | N_EVENT_REPORT):
        return None
    response = type(request)()
    response.MessageIDBeingRespondedTo = request.MessageID
    for name in ("SOPClassUID", "SOPInstanceUID"):
        uid = getattr(request, f"Affected{name}", None) or getattr(request, f"Requested{name}", None)
        if uid is not None and hasattr(response, f"Affected{name}"):
            setattr(response, f"Affected{name}", uid)
    response.Status = status
    response.ErrorComment = comment
    return response
