"""C-STORE requests whose data sets go from the file to the wire as they are, in pieces.

pynetdicom would decode the data set and encode it again, or put all its fragments on a queue that grows
to its size. Here what waits to be sent is bounded, whatever the size of the object.
"""

from __future__ import annotations

import errno
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

from pydicom import dcmread
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.pdu_primitives import P_DATA

from useridentity.cli.requestor.files import Instance, state_of
from useridentity.cli.requestor.interrupt import hang_up, taken_octets
from useridentity.cli.requestor.outcome import Status
from useridentity.cli.requestor.session import lost, status_of

if TYPE_CHECKING:
    from pynetdicom.association import Association

PDV_HEADER = 6
"""Octets of a PDV item before its fragment: length, context ID, message control header (PS3.8 9.3.5.1, E.2)."""

MAX_FRAGMENT = 1024 * 1024
"""Octets of a fragment where the acceptor states no maximum, or a huge one."""

MAX_WAITING = 8 * 1024 * 1024
"""Octets read that still wait to be sent: enough to keep the sender busy, little beside an image."""

HAS_DATA_SET = 0x0001
"""CommandDataSetType: anything but 0101H (PS3.7 Table 9.3-1)."""

COMMAND_LAST, DATA, DATA_LAST = b"\x03", b"\x00", b"\x02"
"""Message control headers (PS3.8 E.2)."""

Moved = Callable[[int], None]
"""Told of the octets that were handed over."""


class CutShort(Exception):
    """The file was another before it was sent to its end; the association had to be aborted for it."""


@contextmanager
def data_set(instance: Instance) -> Iterator[tuple[BinaryIO, int]]:
    """The data set as it is in the file, and its length; raises `OSError`."""
    with _opened(instance) as file:
        file.seek(instance.offset)
        yield file, instance.length


@contextmanager
def data_set_in_default_syntax(instance: Instance) -> Iterator[tuple[BinaryIO, int]]:
    """The data set in Implicit VR Little Endian, and its length; it was not compressed. Raises `OSError`."""
    octets = None
    with _opened(instance) as file, suppress(Exception):  # of which pydicom raises any for what is damaged
        octets = encode(dcmread(file), True, True)
    if octets is None:
        raise OSError(errno.EILSEQ, "its data set cannot be written in Implicit VR Little Endian")
    yield BytesIO(octets), len(octets)


@contextmanager
def _opened(instance: Instance) -> Iterator[BinaryIO]:
    """The file that was described, and no other that has taken its place."""
    with open(instance.path, "rb", opener=_without_waiting) as file:
        if state_of(file) != instance.state:
            raise OSError(errno.ESTALE, "it has changed since it was found")
        yield file


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # or a pipe in its place would hold us up


def send(
    assoc: Association, context_id: int, message_id: int, instance: Instance, data: BinaryIO, length: int, moved: Moved
) -> Status:
    """Store one instance with this data set; raises `Failure` where the association ends, or `CutShort`."""
    with _Exchange(assoc):
        if not assoc.is_established:  # it ended with the answer before, and no other will come
            raise lost(assoc)
        _request(assoc, context_id, message_id, instance)
        try:
            _stream(assoc, context_id, _fragments(assoc, instance, data, length), moved)
        except (OSError, CutShort) as error:
            hang_up(assoc)  # nothing can be said in the middle of a message but that it is over
            raise CutShort(str(getattr(error, "strerror", "") or error)) from None
        response = _answer(assoc)
    if not isinstance(response, C_STORE) or response.MessageIDBeingRespondedTo != message_id:
        hang_up(assoc)
        raise lost(assoc)
    return status_of(assoc._check_received_status(response), assoc)


class _Exchange:
    """The reactor leaves the association's messages to us, as in pynetdicom's own `send_c_store`."""

    def __init__(self, assoc: Association) -> None:
        self._assoc = assoc

    def __enter__(self) -> None:
        self._assoc._reactor_checkpoint.clear()
        while not self._assoc._is_paused:
            time.sleep(0.0001)

    def __exit__(self, *_: object) -> None:
        self._assoc._reactor_checkpoint.set()


def _request(assoc: Association, context_id: int, message_id: int, instance: Instance) -> None:
    request = C_STORE()
    request.MessageID = message_id
    request.Priority = 2
    request.AffectedSOPClassUID = instance.sop_class
    request.AffectedSOPInstanceUID = instance.sop_instance
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    message.command_set.CommandDataSetType = HAS_DATA_SET
    for pdata in message.encode_msg(context_id, assoc.dimse.maximum_pdu_size):
        assoc.dul.send_pdu(pdata)


def _stream(assoc: Association, context_id: int, fragments: Iterator[bytes], moved: Moved) -> None:
    window = max(2, MAX_WAITING // fragment_size(assoc.dimse.maximum_pdu_size))
    for fragment in fragments:
        _wait_for_room(assoc, window)
        pdata = P_DATA()
        pdata.presentation_data_value_list.append((context_id, fragment))
        assoc.dul.send_pdu(pdata)
        moved(len(fragment) - 1)


def fragment_size(maximum_pdu_size: int) -> int:
    """Octets of a data set that fit into one PDU of the acceptor's; even, as fragments should be."""
    return min(maximum_pdu_size - PDV_HEADER, MAX_FRAGMENT) & ~1 if maximum_pdu_size else MAX_FRAGMENT


def _fragments(assoc: Association, instance: Instance, data: BinaryIO, length: int) -> Iterator[bytes]:
    """The data set in pieces, the last one only of a file that has stayed as it was."""
    size = fragment_size(assoc.dimse.maximum_pdu_size)
    while length > 0:
        piece = data.read(min(size, length))
        length -= len(piece)
        if not piece or (not length and _has_changed(instance, data)):
            raise CutShort("it was changed while it was sent")
        yield (DATA if length else DATA_LAST) + piece


def _has_changed(instance: Instance, data: BinaryIO) -> bool:
    return not isinstance(data, BytesIO) and state_of(data) != instance.state


def _wait_for_room(assoc: Association, window: int) -> None:
    """Raises `Failure` where the association ends, or nothing is taken for as long as an answer may take."""
    queue: Any = assoc.dul.to_provider_queue
    taken, since = taken_octets(assoc), time.monotonic()
    while queue.qsize() >= window:
        if not assoc.dul.is_alive() or assoc.is_aborted:
            raise lost(assoc)
        time.sleep(0.0005)
        if time.monotonic() - since > (assoc.dimse_timeout or math.inf):
            if taken_octets(assoc) == taken:
                hang_up(assoc)
                raise lost(assoc)
            taken, since = taken_octets(assoc), time.monotonic()


def _answer(assoc: Association) -> object:
    """The response, None where there is none in time: what still waits here has that time from when it has gone."""
    while True:
        taken, since = taken_octets(assoc), time.monotonic()
        _, response = assoc.dimse.get_msg(block=True)
        ended = time.monotonic() - since < (assoc.dimse_timeout or math.inf)  # and nothing will come any more
        if response is not None or ended or taken_octets(assoc) <= taken:
            return response
