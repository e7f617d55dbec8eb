"""One association as its requestor: the identity put into the request, its confirmation demanded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from struct import pack
from typing import TYPE_CHECKING, Any

from pynetdicom._globals import MODE_REQUESTOR
from pynetdicom.pdu_items import UserInformationItem
from pynetdicom.pdu_primitives import A_ASSOCIATE

from useridentity import wire
from useridentity.credential import Confirmation, ConfirmationWord, Credential, Offer
from useridentity.decision import Answer
from useridentity.errors import NotConfirmed, WireError
from useridentity.pynetdicom.audited import SubOperations
from useridentity.pynetdicom.reactor import PromptAssociation

if TYPE_CHECKING:
    from pynetdicom.ae import ApplicationEntity

_RESULTS = {1: "permanent", 2: "transient"}
_SOURCES = {1: "the service user", 2: "the ACSE", 3: "the presentation layer"}
_REASONS = {
    (1, 1): "no reason given",
    (1, 2): "application context name not supported",
    (1, 3): "calling AE title not recognized",
    (1, 7): "called AE title not recognized",
    (2, 1): "no reason given",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}


class OutcomeKind(Enum):
    """How an association request ended."""

    CONFIRMED = "accepted, identity confirmed"
    ACCEPTED = "accepted"
    NOT_CONFIRMED = "not confirmed"
    REJECTED = "rejected"
    ABORTED = "aborted"
    UNREACHABLE = "unreachable"
    UNSENT = "not sent"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an association request.

    Fields:
        kind: see `OutcomeKind`; ACCEPTED is an acceptance that confirms no identity.
        detail: what more is known, in words; where kind is UNREACHABLE what the system or TLS said.
        confirmation: what the acceptor proved of itself, where kind is CONFIRMED.
        answer: result, source and reason of the A-ASSOCIATE-RJ, where kind is REJECTED.
    """

    kind: OutcomeKind
    detail: str = ""
    confirmation: Confirmation | None = None
    answer: Answer | None = None

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.detail}" if self.detail else self.kind.value


class IdentityExchange:
    """An identity on its way out and the answer to it on its way in."""

    def __init__(self, offer: Offer, confirmation: ConfirmationWord) -> None:
        self._offer = offer
        self._wanted = confirmation
        self.confirmation: Confirmation | None = None
        self.failure = ""

    @property
    def credential(self) -> Credential:
        return replace(self._offer.credential, positive_response_requested=self._wanted != "none")

    def dress(self, request: bytes) -> bytes:
        """An A-ASSOCIATE-RQ with the identity added."""
        return wire.decode(request).with_credential(self.credential)

    def undress(self, answer: bytes) -> bytes:
        """An A-ASSOCIATE-AC without the server response, once that is judged; raises `NotConfirmed`."""
        try:
            accepted = wire.decode(answer)
            self._judge(accepted.server_response)
        except (NotConfirmed, WireError) as error:
            self.failure = str(error)
            raise
        except Exception as error:  # noqa: BLE001  a provider that crashes has not confirmed
            self.failure = f"the provider could not judge the server response: {type(error).__name__}"
            raise NotConfirmed(self.failure) from None
        return accepted.normalised()

    def _judge(self, server_response: bytes | None) -> None:
        if self._wanted == "none" or (self._wanted == "wanted" and server_response is None):
            return
        confirmation: object = self._offer.confirm(server_response)
        if not isinstance(confirmation, Confirmation):
            raise NotConfirmed(f"the provider returned {type(confirmation).__name__}, not a Confirmation")
        self.confirmation = confirmation


class RequestorAssociation(SubOperations, PromptAssociation):
    """An association this application asks for."""

    def __init__(self, ae: ApplicationEntity, exchange: IdentityExchange | None) -> None:
        super().__init__(ae, MODE_REQUESTOR)
        self._exchange = exchange
        self.outcome = Outcome(OutcomeKind.UNSENT)

    def outgoing(self, pdu: bytes) -> bytes:
        return self._exchange.dress(pdu) if self._exchange and pdu[0] == wire.REQUEST else pdu

    def incoming(self, pdu: bytearray) -> bytearray:
        if pdu[0] == wire.ACCEPT and self.dul.socket is not None:
            self.dul.socket.ease(self.requestor.maximum_length or 0, None)
            if self._exchange:
                return bytearray(self._exchange.undress(bytes(pdu)))
        return pdu

    def request(self) -> None:
        """Ask for the association, and note what became of it.

        Raises `CredentialUnavailable`, before connecting, for a credential that does not fit the request.
        """
        try:
            self._check_fits()
            super().request()
            if self.is_aborted:  # by a handler of EVT_ACCEPTED, after which pynetdicom goes on
                self.is_established = False
        finally:
            self.outcome = self._conclude()
            self._exchange = None
            if not self.is_established:
                self.discard()

    def withdraw(self, reason: str) -> None:
        """Do not ask for it after all."""
        self.outcome = Outcome(OutcomeKind.UNSENT, reason)
        self.discard()

    def discard(self) -> None:
        """Release what an association that was not established holds."""
        if self._started_dul:
            self.dul.end()
        elif self.dul.socket is not None:
            self.dul.socket._shutdown_socket()

    def _check_fits(self) -> None:
        """Try the credential on a request that has nothing but this association's user information."""
        if self._exchange is None:
            return
        item = UserInformationItem()
        item.from_primitive(self.requestor.user_information)
        body = b"\0\1\0\0" + b"-".ljust(16) * 2 + bytes(32) + item.encode()
        self._exchange.dress(pack(">BxI", wire.REQUEST, len(body)) + body)

    def _conclude(self) -> Outcome:
        exchange = self._exchange
        if self.is_established:
            confirmed = exchange is not None and exchange.confirmation is not None
            kind = OutcomeKind.CONFIRMED if confirmed else OutcomeKind.ACCEPTED
            return Outcome(kind, confirmation=exchange.confirmation if exchange else None)
        if exchange is not None and exchange.failure:
            return Outcome(OutcomeKind.NOT_CONFIRMED, exchange.failure)
        if self.is_rejected and isinstance(self.acceptor.primitive, A_ASSOCIATE):
            return _rejected(self.acceptor.primitive)
        if self.dul.socket is None or not self.dul.socket.reached:
            cause = "" if self.dul.socket is None else self.dul.socket.failure
            return Outcome(OutcomeKind.UNREACHABLE, cause or "no connection, or no TLS, to the peer")
        if isinstance(self.acceptor.primitive, A_ASSOCIATE) and not self._accepted_cx:
            return Outcome(OutcomeKind.ABORTED, "aborted here: the acceptor took none of the presentation contexts")
        return Outcome(OutcomeKind.ABORTED, "the peer aborted, closed the connection or did not answer in time")


def _rejected(primitive: Any) -> Outcome:
    answer = Answer(primitive.result, primitive.result_source, primitive.diagnostic)
    reason = _REASONS.get((answer.source, answer.diagnostic), f"reason {answer.diagnostic}")
    detail = (
        f"{_RESULTS.get(answer.result, answer.result)}, by {_SOURCES.get(answer.source, answer.source)}, {reason} "
        f"({answer.result},{answer.source},{answer.diagnostic})"
    )
    return Outcome(OutcomeKind.REJECTED, detail, answer=answer)
