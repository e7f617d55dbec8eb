"""Messages of an accepted peer, read by us before pynetdicom reads them: where the two differ, nothing is served."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any

from pynetdicom import evt
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import C_CANCEL, C_FIND, C_GET, C_MOVE, C_STORE, N_EVENT_REPORT
from pynetdicom.utils import make_target

from useridentity.dimse import Assembly, Command, Message
from useridentity.errors import WireError
from useridentity.permission import NOTHING, Request, carries
from useridentity.pynetdicom.requests import is_scu
from useridentity.pynetdicom.waking import NotifyingQueue

if TYPE_CHECKING:
    from pynetdicom.pdu_primitives import P_DATA
    from pynetdicom.presentation import PresentationContext

    from useridentity.pynetdicom.service import ServingAssociation

LOGGER = logging.getLogger("useridentity.pynetdicom")

MAX_WAITING = 8
"""Messages that wait or are served in threads of their own before no more is read. Without asynchronous operations,
which pynetdicom does not negotiate, a peer has one request open at a time (PS3.7 D.3.3.3)."""

MAX_DATA_SET = 4 * 1024 * 1024
"""Bytes of a data set, kept in memory, of all but a permitted request of `BULK`: of an identifier that names sixty
thousand instances. Who may only ask is not to fill the memory with what is refused at its end."""

BULK = ("C-STORE", "N-CREATE", "N-SET", "N-ACTION", "N-EVENT-REPORT")
"""Requests whose data sets are what the service is about, of any length."""

CANCELLABLE = (C_FIND, C_GET, C_MOVE)

RequestKey = tuple[int, int]
"""Presentation context and message identifier: what tells the open requests of an association apart."""


class MessageQueue(NotifyingQueue):
    """Messages that wait to be served; tells, too, when one was taken."""

    def __init__(self, notify: Callable[[], None], taken: Callable[[], None]) -> None:
        super().__init__(notify)
        self._taken = taken

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        item = super().get(block, timeout)
        self._taken()
        return item


class GuardedDIMSE(DIMSEServiceProvider):
    """pynetdicom's assembly of messages, fed with nothing that `useridentity.dimse` does not understand."""

    def __init__(self, assoc: ServingAssociation) -> None:
        super().__init__(assoc)
        self.msg_queue = MessageQueue(assoc.wake, self._let_read_on)
        self._association = assoc
        self._assembly = Assembly(self._check)
        self._completed: Message | None = None
        self._cancellable: set[RequestKey] = set()
        self._cancelled: set[RequestKey] = set()
        self._serving: RequestKey | None = None
        self._apart: set[threading.Thread] = set()

    def examine(self, pdu: bytes | bytearray) -> None:
        """Read a P-DATA-TF before pynetdicom does; a `WireError` is the end of the association."""
        self._completed = self._assembly.add(pdu)

    def _check(self, message: Message) -> int | None:
        """How many bytes its data set may have, None for any number.

        Raises `WireError` for a breach of the negotiation; what is merely not permitted is refused when it is complete.
        """
        context = self._association._accepted_cx.get(message.context_id)
        command = message.command
        if context is None:
            raise WireError("PS3.8 9.3.2.2", f"a message on presentation context {message.context_id}, not accepted")
        if not command.is_request or command.kind == "C-CANCEL":
            return MAX_DATA_SET  # judged by the request that it belongs to
        if not carries(str(context.abstract_syntax), command.sop_class):
            where = f"on a presentation context of {context.abstract_syntax}"
            raise WireError("PS3.7 D.3.3", f"{command.kind} of {command.sop_class} {where}")
        if not self._may_play(is_scu(command.kind), context):
            role = "SCU" if is_scu(command.kind) else "SCP"
            raise WireError("PS3.7 D.3.3.4", f"{command.kind} of a peer that is no {role} of {context.abstract_syntax}")
        return None if self._is_permitted_bulk(command, context) else MAX_DATA_SET

    def _is_permitted_bulk(self, command: Command, context: PresentationContext) -> bool:
        if command.kind not in BULK:
            return False
        asked = Request(command.kind, command.sop_class, str(context.abstract_syntax), is_scu(command.kind))
        return not (self._association.permission or NOTHING).denies(asked)

    def _may_play(self, scu: bool, context: PresentationContext) -> bool:
        """Whether the requestor has the role; where none was selected, the SCP's as well.

        Stock pynetdicom, and others, report events without having selected a role. The permission, which is asked
        too, says as much of a requestor that selects none as of one that does.
        """
        if scu:
            return bool(context.as_scp)
        return bool(context.as_scu) or context.abstract_syntax not in self._association.acceptor.role_selection

    def receive_primitive(self, primitive: P_DATA) -> None:
        """As in pynetdicom, for a message that both have read alike."""
        message = self.message = self.message or DIMSEMessage()
        is_complete = message.decode_msg(primitive, self.assoc)
        expected, self._completed = self._completed, None
        if not is_complete and expected is None:
            return
        received = self._read(message, expected) if is_complete and expected is not None else None
        if received is None or expected is None:
            LOGGER.warning("aborting the association: pynetdicom reads %s differently", expected)
            self.dul.event_queue.put("Evt19")
        else:
            self.message = None
            self._pass_on(received, expected)

    def _read(self, message: DIMSEMessage, expected: Message) -> Any | None:
        """The message as pynetdicom's primitive; None where that says something else."""
        evt.trigger(self.assoc, evt.EVT_DIMSE_RECV, {"message": message})
        try:
            received: Any = message.message_to_primitive()
        except Exception:  # noqa: BLE001  whatever its setters find wrong
            return None
        is_same = message.context_id == expected.context_id and says(received, expected.command)
        return received if is_same else None

    def _pass_on(self, received: Any, expected: Message) -> None:
        key = expected.context_id, expected.command.message_id
        if isinstance(received, C_CANCEL):
            if key in self._cancellable:
                self._cancelled.add(key)
            return
        if isinstance(received, N_EVENT_REPORT) and received.is_valid_request and not self._association.is_over:
            # As in pynetdicom: the association's own thread may be waiting for the answer to something it asked.
            thread = threading.Thread(target=make_target(self._serve_apart), args=(received, expected.context_id))
            self._apart.add(thread)
            thread.start()
            return
        if isinstance(received, CANCELLABLE) and received.is_valid_request:
            self._cancelled.discard(key)
            self._cancellable.add(key)
        self.msg_queue.put((expected.context_id, received))

    # What is being served, and what waits.

    def _serve_apart(self, request: Any, context_id: int) -> None:
        try:
            self._association._serve_request(request, context_id)
        finally:
            self._apart.discard(threading.current_thread())
            self._association.wake()
            self._association.dul.wake()

    @property
    def serves_apart(self) -> bool:
        """Whether requests are served in threads of their own."""
        return bool(self._apart)

    @property
    def is_full(self) -> bool:
        """Whether nothing more is to be read until something has been served."""
        return self.msg_queue.qsize() + len(self._apart) >= MAX_WAITING

    def _let_read_on(self) -> None:
        if self.msg_queue.qsize() + len(self._apart) == MAX_WAITING - 1:
            self._association.dul.wake()

    @contextmanager
    def serving(self, message: Any, context_id: int) -> Iterator[None]:
        """While a message is served, a C-CANCEL of it counts; afterwards nothing is kept of it."""
        key = context_id, message.MessageID
        try:
            if isinstance(message, CANCELLABLE):
                self._serving = key
            yield
        finally:
            if isinstance(message, CANCELLABLE):
                self._serving = None
                self._cancellable.discard(key)
                self._cancelled.discard(key)
            elif isinstance(message, C_STORE):  # of which pynetdicom leaves the file, unless it calls a handler
                discard(message._dataset_file)

    @property  # type: ignore[override]  # an attribute there
    def cancel_req(self) -> dict[int, bool]:
        """By message identifier, what pynetdicom takes for cancelled: nothing but the request that is served.

        It empties this before it serves a request, and would forget a C-CANCEL that came together with it.
        """
        return {key[1]: True for key in self._cancelled if key == self._serving}

    @cancel_req.setter
    def cancel_req(self, _emptied: dict[int, Any]) -> None:
        pass

    def discard_rest(self) -> None:
        """Delete the files of data sets that nobody will be given; the association is over."""
        if self.message is not None:
            discard(self.message._data_set_file)
        with suppress(Empty):
            while True:
                _, message = self.msg_queue.get(block=False)
                if isinstance(message, C_STORE):
                    discard(message._dataset_file)


def discard(file: Any) -> None:
    """Delete a file that pynetdicom has put a data set into; None for a data set in memory."""
    if file is not None:  # _config.STORE_RECV_CHUNKED_DATASET
        file.close()
        with suppress(OSError):  # pynetdicom was faster; or somebody uses it still, and keeps it
            Path(file.name).unlink()


def says(primitive: Any, command: Command) -> bool:
    """Whether pynetdicom's `primitive` means what `command` does, as far as anything is decided by it."""
    if isinstance(primitive, C_CANCEL):
        return command.kind == "C-CANCEL" and bool(primitive.MessageIDBeingRespondedTo == command.message_id)
    if primitive.msg_type != command.kind:
        return False
    if primitive.is_valid_request != command.is_request or primitive.is_valid_response == command.is_request:
        return False
    message_id = primitive.MessageID if command.is_request else primitive.MessageIDBeingRespondedTo
    return (
        message_id == command.message_id
        and _names(primitive, "SOPClassUID", command.sop_class)
        and _names(primitive, "SOPInstanceUID", command.sop_instance)
        and (getattr(primitive, "MoveDestination", None) or "").strip(" ") == command.destination
    )


def _names(primitive: Any, kind: str, uid: str) -> bool:
    """Whether a primitive that can name such a UID, as Affected or as Requested, names this one and no other."""
    attributes = [name for name in (f"Affected{kind}", f"Requested{kind}") if hasattr(primitive, name)]
    return not attributes or {str(getattr(primitive, name) or "") for name in attributes} - {""} == {uid} - {""}
