"""A provider that sends what no real one would."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field

from useridentity.credential import Confirmation, Credential, Offer
from useridentity.facts import Peer


@dataclass(frozen=True, slots=True)
class Sends:
    """Association requestor: sends `credential`, whatever it is, to anybody; any answer will do.

    For types that do not exist, for what is spoiled, stolen or sent twice.
    """

    credential: Credential = field(repr=False)

    def offer(self, peer: Peer) -> nullcontext[Offer]:  # noqa: ARG002  shown to anybody
        return nullcontext(self)

    def confirm(self, server_response: bytes | None) -> Confirmation:  # noqa: ARG002  proves nothing
        return Confirmation()
