"""What became of an association or an operation, as the failure that it is, with what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from useridentity.cli.ending import Exit, Failure

if TYPE_CHECKING:
    from useridentity.cli.requestor.peer import Acceptor, Target
    from useridentity.pynetdicom import Outcome


_NO_MORE = "nothing more can be learnt from the wire, ask its log"

_TLS_ADVICE = (
    ("certificate verify failed", "the acceptor's certificate is not from --ca, or not for the name of --server-name"),
    ("Hostname mismatch", "the acceptor's certificate is for another name; --server-name says which to expect"),
    ("IP address mismatch", "the acceptor's certificate is for another name; --server-name says which to expect"),
    ("WRONG_VERSION_NUMBER", "there is no TLS on that port; use its TLS port, or leave --ca out"),
    ("ALERT", "the acceptor did not take our side of TLS; it may want a certificate: --cert and --key"),
)
_TCP_ADVICE = (
    ("refused", "nothing listens there; is it running, on this port?"),
    ("timed out", "nothing answers there; is a firewall in between? --timeout waits longer"),
    ("resolve", "check the name of the host"),
)


def failed(outcome: Outcome, target: Target) -> Failure:
    """The failure that an association that was not established is."""
    from useridentity.pynetdicom import OutcomeKind  # takes longer than the rest of the command line

    match outcome.kind:
        case OutcomeKind.REJECTED:
            return Failure(Exit.REJECTED, f"rejected {outcome.detail}", _advice_on_rejection(outcome, target))
        case OutcomeKind.NOT_CONFIRMED:
            return Failure(Exit.NOT_CONFIRMED, f"not confirmed: {outcome.detail}", _advice_on_confirmation(target))
        case OutcomeKind.UNREACHABLE:
            return unreachable(target, outcome.detail)
        case OutcomeKind.UNSENT:
            return not_sent(outcome.detail)
        case _:
            cause = outcome.detail or "the peer ended the association as soon as it was accepted"
            return Failure(Exit.ABORTED, f"aborted: {cause}", f"ask the log of {target.where}")


def unreachable(target: Target, cause: str) -> Failure:
    """No connection, or no TLS."""
    known = _TLS_ADVICE + _TCP_ADVICE
    hint = next((hint for sign, hint in known if sign.lower() in cause.lower()), "")
    advice = hint or ("is TLS what it expects there?" if target.tls else "does it expect TLS there? --ca")
    return Failure(Exit.UNREACHABLE, f"unreachable: {target.where}, {cause}", advice)


def unresolved(acceptor: Acceptor, error: OSError | UnicodeError) -> Failure:
    """No address, because the host's name does not resolve, or can be none."""
    cause = error.strerror if isinstance(error, OSError) else "that is no name of a host"
    return Failure(Exit.UNREACHABLE, f"unreachable: {acceptor.where}, {cause}", "check the name of the host")


def not_sent(why: str) -> Failure:
    """Nothing was sent, because there is no identity to send or it must not be sent there."""
    known = (
        ("not reached over TLS", "--ca turns TLS on; --plaintext allow sends it where other means protect the wire"),
        ("No Kerberos credentials", "`kinit` gets a ticket"),
    )
    return Failure(Exit.NOT_SENT, f"not sent: {why}", next((hint for sign, hint in known if sign in why), ""))


def _advice_on_rejection(outcome: Outcome, target: Target) -> str:
    answer = outcome.answer
    source, reason = (answer.source, answer.diagnostic) if answer else (0, 0)
    match source, reason:
        case 1, 3:
            return f'it does not know the calling AE title "{target.calling}"; have it added there, or give --calling'
        case 1, 7:
            return f'it is not called "{target.called}"; give --called'
        case 3, _:
            return "it is busy; try again later"
    if target.identity is None:
        return f"it may demand an identity (--identity), or not know this AE title or address; {_NO_MORE}"
    return f"the acceptor refused this identity; {_NO_MORE}"


def _advice_on_confirmation(target: Target) -> str:
    if target.identity is None:
        return ""
    return "--confirmation wanted goes on without"


@dataclass(frozen=True, slots=True)
class Status:
    """A DIMSE status (PS3.7 C), and what the peer says of it."""

    code: int
    comment: str = ""

    @property
    def is_success(self) -> bool:
        return self.code == 0x0000

    @property
    def is_pending(self) -> bool:
        return self.code in (0xFF00, 0xFF01)

    @property
    def is_warning(self) -> bool:
        """Done, with a reservation (PS3.7 C.3)."""
        return self.code in (0x0001, 0x0107, 0x0116) or 0xB000 <= self.code <= 0xBFFF

    def __str__(self) -> str:
        said = f': "{self.comment}"' if self.comment else ""
        return f"{_meaning(self.code)} ({self.code:04X}H){said}"


_MEANINGS = {
    0x0000: "success",
    0x0110: "processing failure",
    0x0111: "duplicate SOP instance",
    0x0117: "invalid SOP instance",
    0x0122: "SOP class not supported",
    0x0124: "not authorised",
    0x0211: "unrecognised operation",
    0x0212: "mistyped argument",
    0xA701: "out of resources, unable to count the matches",
    0xA702: "out of resources, unable to perform sub-operations",
    0xA801: "move destination unknown",
    0xB000: "sub-operations complete, with failures or warnings",
    0xB006: "elements discarded",
    0xB007: "data set does not match the SOP class",
    0xFE00: "cancelled",
}
_RANGES = {0xA700: "out of resources", 0xA900: "data set does not match the SOP class", 0xC000: "cannot understand"}


def _meaning(code: int) -> str:
    if code in _MEANINGS:
        return _MEANINGS[code]
    base = 0xC000 if code >> 12 == 0xC else code & 0xFF00
    return _RANGES.get(base, "warning" if 0xB000 <= code <= 0xBFFF else "failure")
