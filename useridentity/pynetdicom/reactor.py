"""pynetdicom's two threads of an association, waiting for events where pynetdicom polls for them.

Same threads, same state machine, same queues; what differs is that a thread with nothing to do sleeps
until a queue or the socket wakes it, and that no failure leaves a thread or a socket behind.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pynetdicom import evt
from pynetdicom._handlers import standard_pdu_recv_handler, standard_pdu_sent_handler
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import A_P_ABORT

from useridentity import wire
from useridentity.errors import UserIdentityError, WireError
from useridentity.pynetdicom.timer import MonotonicTimer
from useridentity.pynetdicom.transport import IdentitySocket
from useridentity.pynetdicom.waking import EventQueue, NotifyingQueue, Waker

if TYPE_CHECKING:
    from pynetdicom.ae import ApplicationEntity
    from pynetdicom.transport import AddressInformation

LOGGER = logging.getLogger("useridentity.pynetdicom")

HEARTBEAT = 1.0
"""Seconds after which a waiting thread looks around though nothing woke it: timers may have been changed."""

LINGER = 2.0
"""Seconds a peer has to take its last PDU before the connection is cut."""

DUE = {wire.REQUEST: "Sta2", wire.ACCEPT: "Sta5"}
"""The state of the upper layer in which a PDU that may hold an identity is due (PS3.8 Table 9-10)."""

_PDU_LOG = logging.getLogger(standard_pdu_recv_handler.__module__)
_PDU_LOG_HANDLERS = (standard_pdu_recv_handler, standard_pdu_sent_handler)


class PromptDUL(DULServiceProvider):
    """The upper layer's thread, woken by its queues and its socket."""

    socket: IdentitySocket | None

    def __init__(self, assoc: PromptAssociation) -> None:
        super().__init__(assoc)
        self._association = assoc
        self.daemon = True
        self._idle_timer = MonotonicTimer(None)
        self.artim_timer = MonotonicTimer(None)
        self._waker = Waker()
        self.event_queue = EventQueue(self._waker.wake)  # type: ignore[assignment]  # nobody looks into these two
        self._recv_pdu = queue.SimpleQueue()  # type: ignore[assignment]
        self.to_provider_queue = NotifyingQueue(self._waker.wake)
        self.to_user_queue = NotifyingQueue(assoc.wake)

    def wake(self) -> None:
        """Let the thread look at its queues and its socket."""
        self._waker.wake()

    def kill_dul(self) -> None:
        super().kill_dul()
        self.wake()

    def end(self) -> None:
        """Wait until the thread has ended; a peer that keeps it from ending is cut off."""
        if not self.is_alive():
            return
        if self.state_machine.current_state == "Sta1":
            self.kill_dul()
        if threading.current_thread() is self:
            self.kill_dul()
            return
        self.join(LINGER)
        if self.is_alive():
            self.kill_dul()
            if self.socket is not None:
                self.socket._shutdown_socket()
            self.join(LINGER)

    @property
    def seconds_left(self) -> float:
        """Until the peer has been silent for as long as `network_timeout` allows."""
        return self._idle_timer.remaining

    def run_reactor(self) -> None:
        self._idle_timer.start()
        self.assoc._dul_ready.set()
        try:
            self._waker.open()
            while not self._kill_thread:
                self._turn()
        except BaseException:  # a handler may raise anything, SystemExit too
            LOGGER.exception("the upper layer failed; aborting the association")
            self._fail()
        finally:
            self._finish()

    def _turn(self) -> None:
        if self.artim_timer.expired:
            self.event_queue.put("Evt18")
        # One event at a time: a primitive stays queued until its event is handled, and must not be announced twice.
        if self.event_queue.empty() and not self._process_recv_primitive() and self._is_transport_event():
            self._idle_timer.restart()
        try:
            event = self.event_queue.get_nowait()
        except queue.Empty:
            self._wait()
        else:
            self.state_machine.do_action(event)

    def _process_recv_primitive(self) -> bool:
        # In Sta13 nothing can be sent any more; pynetdicom takes the attempt for a failure.
        return self.state_machine.current_state != "Sta13" and super()._process_recv_primitive()

    def _is_transport_event(self) -> bool:
        if self._holds_back:
            return False
        if self.state_machine.current_state != "Sta13" or self.socket is None:
            return super()._is_transport_event()
        # The association is over. pynetdicom would go on reading, and answer and log whatever is wrong.
        if not self.assoc._kill:  # EVT_RELEASED, say, may still be due, and comes before EVT_CONN_CLOSE as with polling
            time.sleep(self._run_loop_delay)
        self.socket.discard_input()
        self.socket.close()
        return True

    @property
    def _holds_back(self) -> bool:
        """Whether the peer has to wait until we read on."""
        return self.state_machine.current_state == "Sta6" and self._association.is_full

    def _wait(self) -> None:
        held = self._holds_back
        sock = self.socket.socket if self.socket is not None and not held else None
        until_artim = max(0.01, self.artim_timer.remaining)
        self._waker.wait(sock, min(HEARTBEAT, until_artim), lambda: self._is_idle() and self._holds_back == held)

    def _is_idle(self) -> bool:
        return not self._kill_thread and self.event_queue.empty() and self.to_provider_queue.empty()

    def _decode_pdu(self, bytestream: bytearray) -> Any:
        try:
            self._check_due(bytestream[0])
            return super()._decode_pdu(self._association.incoming(bytestream))
        except UserIdentityError as error:
            LOGGER.warning("aborting the association: %s", error)
            return None, "Evt19"

    def _check_due(self, pdu_type: int) -> None:
        """Raise `WireError` for what pynetdicom would read, log and then abort over: the identity in it, too."""
        state = self.state_machine.current_state
        if DUE.get(pdu_type, state) != state:
            raise WireError("PS3.8 Table 9-10", f"PDU type {pdu_type:02X}H in {state}")

    def _fail(self) -> None:
        if self.socket is not None:
            self.socket.send(wire.encode_abort(2, 0))
        self.assoc.is_aborted = True
        self.assoc.is_established = False

    def _finish(self) -> None:
        if self.socket is not None:
            self.socket.close()
        self._waker.close()
        # Whoever still waits for the peer learns that there is none.
        self.to_user_queue.put(A_P_ABORT())
        self.assoc.dimse.msg_queue.put((None, None))
        if self.state_machine.current_state != "Sta1":  # cut off or failed, so that no action of the state machine told
            evt.trigger(self.assoc, evt.EVT_CONN_CLOSE, {"address": self._association.peer.as_tuple})


class PromptAssociation(Association):
    """An association whose thread is woken by what it waits for."""

    dul: PromptDUL

    def __init__(self, ae: ApplicationEntity, mode: str) -> None:
        self._activity = threading.Event()
        super().__init__(ae, mode)
        self.dul = PromptDUL(self)
        # Set again, because setting them sets the timers of the DUL.
        self.acse_timeout = ae.acse_timeout
        self.network_timeout = ae.network_timeout
        self.dimse.msg_queue = NotifyingQueue(self.wake)

    @property
    def peer(self) -> AddressInformation:
        """Where the peer is."""
        user = self.acceptor if self.is_requestor else self.requestor
        assert user.address_info is not None  # noqa: S101  set before any thread starts
        return user.address_info

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be served that nothing more is to be read."""
        return False

    def wake(self) -> None:
        """Let the association's thread look at its queues."""
        self._activity.set()

    def outgoing(self, pdu: bytes) -> bytes:
        """What is really sent for a PDU of pynetdicom's."""
        return pdu

    def incoming(self, pdu: bytearray) -> bytearray:
        """What pynetdicom is shown of a PDU of the peer's; an exception makes the PDU an invalid one."""
        return pdu

    def kill(self) -> None:
        self._kill = True
        self.is_established = False
        self._is_paused = True
        self._reactor_checkpoint.set()
        self.wake()
        self.dul.end()

    def _run_reactor(self) -> None:
        while not self._kill:
            # The one who sends from another thread clears the checkpoint and waits until we are paused.
            self._is_paused = True
            self._activity.wait(min(HEARTBEAT, max(0.01, self.dul.seconds_left)))
            self._reactor_checkpoint.wait()
            self._is_paused = False
            if self._reactor_checkpoint.is_set() and not self._kill:
                self._activity.clear()
                self._serve_what_came()

    def _serve_what_came(self) -> None:
        context_id, message = self.dimse.get_msg(block=False)
        if message is not None and context_id is not None:
            self._serve_request(message, context_id)
        if self.acse.is_aborted():
            self._note_abort()
        elif self._sent_abort:  # without waiting; a peer that stalls amid a PDU keeps it from being sent
            self.kill()
        elif not self.dimse.msg_queue.empty():
            self.wake()
        elif self.is_established and self.acse.is_release_requested():
            self._release_as_asked()
        elif not self.dul.is_alive():
            self.kill()
        elif self.dul.idle_timer_expired():
            self._end_idle()

    def _release_as_asked(self) -> None:
        self.acse.send_release(is_response=True)
        self.is_released = True
        self.is_established = False
        evt.trigger(self, evt.EVT_RELEASED, {})
        self.kill()

    def _note_abort(self) -> None:
        self.dul.receive_pdu(wait=False)
        self.is_established = False
        is_our_own = self.is_aborted or self._sent_abort  # and is told by the thread that sends it
        self.is_aborted = True
        if not is_our_own:
            evt.trigger(self, evt.EVT_ABORTED, {})
        self.kill()

    def _end_idle(self) -> None:
        LOGGER.warning("network timeout: nothing came for %s s", self.network_timeout)
        if self.network_timeout_response == "A-RELEASE":
            self._is_paused = True
            self.release()
        else:
            self.abort()
        self.kill()


def bound_now(handlers: Mapping[Any, Any]) -> dict[Any, Any]:
    """A copy of event bindings for one association.

    pynetdicom's own loggers of PDUs write at DEBUG only but do their work regardless, a third of the
    cost of an association; they are left out where nobody would read what they write.
    """
    silent = () if _PDU_LOG.isEnabledFor(logging.DEBUG) else _PDU_LOG_HANDLERS
    return {
        event: bound if event.is_intervention else [pair for pair in bound if pair[0] not in silent]
        for event, bound in dict(handlers).items()  # a copy: the server may be bound to meanwhile
    }
