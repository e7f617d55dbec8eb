"""DIMSE requests of an accepted peer: which belong where, and how one is refused."""

from __future__ import annotations

from typing import Any

from pynetdicom.dimse_primitives import C_ECHO, N_EVENT_REPORT

from useridentity.permission import carries

NOT_AUTHORIZED = 0x0124
"""Refused: Not Authorized (PS3.7 C.5.19)."""

COMMENT = "the user's proof of identity has ended"
"""Error Comment, of at most 64 characters (PS3.7 E.2)."""


def belongs(request: Any, abstract_syntax: str) -> bool:
    """Whether all that `request` names as its SOP class may be sent on a context of `abstract_syntax`."""
    named = [getattr(request, f"{which}SOPClassUID", None) for which in ("Affected", "Requested")]
    return all(carries(abstract_syntax, str(uid)) for uid in named if uid is not None)


def refusal(request: Any) -> Any | None:
    """The response that refuses `request`; None for C-ECHO and N-EVENT-REPORT, whose statuses have no such one."""
    if isinstance(request, C_ECHO | N_EVENT_REPORT):
        return None
    response = type(request)()
    response.MessageIDBeingRespondedTo = request.MessageID
    for name in ("SOPClassUID", "SOPInstanceUID"):
        uid = getattr(request, f"Affected{name}", None) or getattr(request, f"Requested{name}", None)
        if uid is not None and hasattr(response, f"Affected{name}"):
            setattr(response, f"Affected{name}", uid)
    response.Status = NOT_AUTHORIZED
    response.ErrorComment = COMMENT
    return response
