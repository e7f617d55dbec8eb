"""An association of a command: requested, used, released."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from useridentity.cli.ending import Exit, Failure
from useridentity.cli.requestor.interrupt import Stop, hang_up
from useridentity.cli.requestor.outcome import Status, failed, not_sent, unresolved
from useridentity.cli.requestor.peer import Target
from useridentity.errors import CredentialUnavailable

if TYPE_CHECKING:
    from pydicom import Dataset
    from pynetdicom.association import Association
    from pynetdicom.events import EventHandlerType
    from pynetdicom.presentation import PresentationContext

MAX_PDU = 256 * 1024
"""Bytes of a PDU that a peer may send us: an image in a few system calls."""

SMALLEST_PDU = 8
"""Octets of a PDU that an acceptor must take: a PDV item's header and two of a fragment (PS3.8 9.3.5.1)."""


@contextmanager
def association(
    target: Target,
    contexts: Sequence[PresentationContext],
    stop: Stop,
    *,
    roles: Sequence[Any] = (),
    handlers: Sequence[EventHandlerType] = (),
    needed: str = "",
) -> Iterator[Association]:
    """An established association, released when the block ends.

    Raises `Failure` where there is none, or the acceptor did not take the abstract syntax `needed`.
    """
    from useridentity.pynetdicom import outcome_of

    assoc = _requested(target, contexts, roles, handlers)
    if not assoc.is_established:
        if assoc.rejected_contexts and not assoc.accepted_contexts:
            raise NotTaken(target, contexts)
        raise failed(outcome_of(assoc), target)
    stop.association = assoc
    try:
        _check_answer(assoc, target)
        _require(needed, assoc, target, contexts)
        yield assoc
    except Failure:
        raise
    except BaseException as error:  # in the middle of something, whose answers would come for nobody
        ended = isinstance(error, RuntimeError) and not assoc.is_established  # as pynetdicom says it before a request
        hang_up(assoc)
        if ended:
            raise lost(assoc) from None
        raise
    finally:
        stop.association, stop.cancel = None, None
        if assoc.is_established:
            assoc.release()


def _check_answer(assoc: Association, target: Target) -> None:
    """Raises `Failure` where the acceptor agreed to what was not proposed, or takes nothing at all."""
    proposed = {each.context_id: each.transfer_syntax for each in assoc.requestor.requested_contexts}
    most = assoc.dimse.maximum_pdu_size
    if not all(set(each.transfer_syntax) & set(proposed[each.context_id]) for each in assoc.accepted_contexts):
        problem = "chose a transfer syntax that was not proposed"
    elif 0 < most < SMALLEST_PDU:
        problem = f"takes PDUs of no more than {most} octets"
    else:
        return
    hang_up(assoc)
    raise Failure(Exit.ABORTED, f"aborted here: {target.where} {problem}", "ask those who look after it")


def _require(needed: str, assoc: Association, target: Target, contexts: Sequence[PresentationContext]) -> None:
    if needed and not any(each.abstract_syntax == needed for each in assoc.accepted_contexts):
        raise NotTaken(target, contexts[:1])


class NotTaken(Failure):
    """None of these contexts was accepted."""

    def __init__(self, target: Target, contexts: Sequence[PresentationContext]) -> None:
        from pydicom.uid import UID

        names = sorted({UID(each.abstract_syntax or "").name for each in contexts})
        named = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} others"
        super().__init__(
            Exit.REFUSED,
            f"refused: {target.where} took no presentation context for {named}",
            "it does not have this service, or not for this identity",
        )


def _requested(
    target: Target, contexts: Sequence[PresentationContext], roles: Sequence[Any], handlers: Sequence[EventHandlerType]
) -> Association:
    from useridentity.pynetdicom import AE

    ae = AE(target.calling)
    ae.acse_timeout = ae.connection_timeout = ae.dimse_timeout = target.timeout
    ae.network_timeout = None  # whoever waits for an answer has a time-out; nobody else does
    try:
        return ae.associate(
            target.host,
            target.port,
            list(contexts),
            target.called,
            MAX_PDU,
            list(roles),
            tls_args=target.tls,
            evt_handlers=list(handlers),
            identity=target.identity,
            confirmation=target.confirmation,
        )
    except CredentialUnavailable as unavailable:
        raise not_sent(str(unavailable)) from None
    except (OSError, UnicodeError) as error:
        raise unresolved(target, error) from None


def status_of(response: Dataset, assoc: Association) -> Status:
    """The status of a response; raises `Failure` where there was none, because the association has ended."""
    if "Status" not in response:
        raise lost(assoc)
    return Status(int(response.Status), str(response.get("ErrorComment", "")))


def lost(assoc: Association) -> Failure:
    """An association that ended in the middle of something."""
    peer = assoc.acceptor.address_info
    where = f"{peer.address}:{peer.port}" if peer else "the peer"
    return Failure(
        Exit.ABORTED,
        f"aborted: {where} aborted the association, closed the connection, gave no answer in time or none to this",
        "ask its log; --timeout waits longer",
    )


def cancelling(stop: Stop, assoc: Association, model: str) -> Callable[[], None]:
    """Have Ctrl-C send a C-CANCEL for the operation that begins; call what is returned when it has ended."""
    stop.check()
    stop.cancel = lambda: assoc.send_c_cancel(1, query_model=model)

    def over() -> None:
        stop.cancel = None

    return over
