"""What a forwarder asks of a sink."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from useridentity.audit.record import Record
from useridentity.errors import UserIdentityError

Form = TypeVar("Form")


class Undelivered(UserIdentityError):
    """A sink's receiver does not take records now, and asks not to be tried again for `wait` seconds.

    Of those that were being sent it has judged the first `taken` for certain, `refused` of them for good.
    """

    def __init__(self, detail: str, taken: int = 0, refused: int = 0, wait: float = 0.0) -> None:
        self.taken = taken
        self.refused = refused
        self.wait = wait
        super().__init__(detail)


class NoForm(UserIdentityError):
    """A sink has no form for a record, the one at `position` of those that it was given; nothing was sent."""

    def __init__(self, position: int, detail: str) -> None:
        self.position = position
        super().__init__(detail)


def in_form(records: Sequence[Record], encode: Callable[[Record], Form]) -> list[Form]:
    """Each record as a receiver takes it; raises `NoForm` whatever `encode` raises."""
    forms = []
    for position, record in enumerate(records):
        try:
            forms.append(encode(record))
        except Exception as error:
            raise NoForm(position, f"{type(error).__name__}: {error}") from error
    return forms


class Confirm(NamedTuple):
    """After how many records, or how long, a sink is to be asked whether what was sent has arrived."""

    records: int
    seconds: float


AT_ONCE = Confirm(1, 0.0)
"""For sinks whose `send` returns only once the receiver has the records."""


class Sink(Protocol):
    """Where records go. Used by one thread; nothing is opened before the first record."""

    @property
    def name(self) -> str:
        """Under which the journal keeps the sink's place; the same after a restart."""

    @property
    def batch(self) -> int:
        """How many records `send` takes at a time, at most."""

    @property
    def confirm_after(self) -> Confirm:
        """When `confirm` is due."""

    def send(self, records: Sequence[Record]) -> int:
        """Send the records, in order; how many of them the receiver refused for good.

        Raises `Undelivered`, and `NoForm` before anything is sent.
        """

    def confirm(self) -> None:
        """Return once the receiver has all that was sent; raises `Undelivered` where that cannot be known."""

    def close(self) -> None:
        """Let go of connections and files; what was not confirmed will be sent again."""
