"""`useridentity echo`: whether an acceptor takes this identity, and answers."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from useridentity.cli.ending import Exit, Failure
from useridentity.cli.requestor.examples import epilog
from useridentity.cli.requestor.interrupt import Stop, interruptible
from useridentity.cli.requestor.options import Options, Peer, command
from useridentity.cli.requestor.outcome import Status
from useridentity.cli.requestor.output import Output
from useridentity.cli.requestor.peer import Target, only_acceptor
from useridentity.cli.requestor.session import association, status_of

if TYPE_CHECKING:
    from pynetdicom.association import Association

    from useridentity.credential import Confirmation

EPILOG = epilog("""\
useridentity echo pacs.example.org 104
useridentity echo pacs.example.org 104 --identity username:alice
useridentity echo pacs.example.org 2762 --ca ca.pem --identity passcode:alice --passcode-file alice.passcode
useridentity echo pacs.example.org 2762 --ca ca.pem --cert ws1.pem --key ws1.key --identity jwt:alice.jwt
useridentity echo pacs --json
""")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a C-ECHO told; times in seconds."""

    association: float
    echo: float
    identity: str
    confirmed: bool
    tls: str
    status: Status


@command
def echo(peer: Peer, options: Options) -> None:
    """See whether an acceptor takes this identity, and answers (C-ECHO)."""
    output = Output(options)
    where = only_acceptor(peer, options).identified()
    answer = interruptible(lambda stop: _echoed(where, stop), output.note)
    failure = None
    if not (answer.status.is_success or answer.status.is_warning):
        failure = Failure(Exit.REFUSED, f"refused: C-ECHO, {answer.status}", f"ask the log of {where.where}")
    output.ended(
        f"{where.where} answered: {answer.identity}; {answer.tls or 'no TLS'}; "
        f"association {1000 * answer.association:.0f} ms, echo {1000 * answer.echo:.1f} ms",
        {
            "peer": where.where,
            "outcome": "confirmed" if answer.confirmed else "accepted",
            "identity": answer.identity,
            "tls": answer.tls,
            "association_ms": round(1000 * answer.association, 1),
            "echo_ms": round(1000 * answer.echo, 1),
            "status": f"{answer.status.code:04X}H",
        },
        failure,
    )


def _echoed(where: Target, stop: Stop) -> Answer:
    from pynetdicom import build_context
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

    from useridentity.pynetdicom import outcome_of

    started = time.perf_counter()
    with association(where, [build_context(Verification)], stop) as assoc:
        associated = time.perf_counter()
        status = status_of(assoc.send_c_echo(), assoc)
        echoed = time.perf_counter()
        times = associated - started, echoed - associated
        confirmation = outcome_of(assoc).confirmation
        identity = _in_words(where, confirmation)
        return Answer(*times, identity, confirmation is not None, _tls(assoc), status)


def _in_words(where: Target, confirmation: Confirmation | None) -> str:
    if where.identity is None:
        return "accepted, no identity sent"
    if confirmation is None:
        return "accepted, identity not confirmed"
    proof = f", acceptor proved to be {confirmation.acceptor}" if confirmation.mutual else ""
    return f"accepted, identity confirmed{proof}"


def _tls(assoc: Association) -> str:
    held = assoc.dul.socket.socket if assoc.dul.socket else None
    return held.version() or "" if isinstance(held, ssl.SSLSocket) else ""
