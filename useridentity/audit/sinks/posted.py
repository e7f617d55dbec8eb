"""Records posted over https, and what the answers say; in halves where a receiver refuses what is among them."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from useridentity.audit.record import Record
from useridentity.audit.sinks.endpoint import Endpoint
from useridentity.audit.sinks.sink import AT_ONCE, Undelivered
from useridentity.https import Answer

LOGGER = logging.getLogger("useridentity.audit")

REFUSALS = (400, 409, 413, 422)
"""Statuses that are about what was sent and not about the server: the same would be answered next time. 409 is what a
server may say to a record that it has already."""

_IN_OWN_WORDS = (400, 409)
_SUCCESSES = range(200, 300)


class PostingSink(ABC):
    """Posts records together; those that are refused for good are found, logged and passed over.

    They stay in the journal. To wait until a receiver that says "400 Bad Request" changes its mind would keep from
    it everything that came later.
    """

    confirm_after = AT_ONCE
    own_words: ClassVar[str]
    """What an administrator can do about a receiver that refuses a record without a word that is its own."""

    def __init__(self, name: str, endpoint: Endpoint, batch: int) -> None:
        self.name = name
        self.batch = batch
        self._endpoint = endpoint

    def send(self, records: Sequence[Record]) -> int:
        answer = self._post(records)
        if self._is_refusal(answer):
            return self._refused(records[0], answer.status) if len(records) == 1 else self._send_halves(records)
        return self._judge(records, answer)

    def confirm(self) -> None:  # noqa: B027  nothing is left to do
        """What was answered was received."""

    def close(self) -> None:
        self._endpoint.close()

    def _send_halves(self, records: Sequence[Record]) -> int:
        middle = len(records) // 2
        refused = self.send(records[:middle])
        try:
            return refused + self.send(records[middle:])
        except Undelivered as undelivered:
            undelivered.taken += middle
            undelivered.refused += refused
            raise

    def _refused(self, record: Record, status: int | str) -> int:
        LOGGER.error("%s refuses event %s for good: %s; it stays in the journal", self.name, record.event_id, status)
        return 1

    def _is_refusal(self, answer: Answer) -> bool:
        """400 in a receiver's own words only: a proxy says it of our certificate, and would say it of every record."""
        if answer.status in _IN_OWN_WORDS:
            return answer.object is not None and self._is_own(answer.object)
        return answer.status in REFUSALS

    def _undelivered(self, records: Sequence[Record], answer: Answer) -> Undelivered:
        why = ""
        if answer.is_redirect:
            why = ", a redirect, which is not followed; configure where it leads to"
        elif answer.status in _SUCCESSES:
            why = ", but not as such a receiver does; something in between may have"
        elif answer.status in _IN_OWN_WORDS:
            what = f"{len(records)} from event {records[0].event_id} on"
            why = f" to {what}, in words that a proxy may have said as well, so all wait; {self.own_words}"
        return Undelivered(f"{self._endpoint.url}: answered with status {answer.status}{why}", wait=answer.wait)

    @abstractmethod
    def _is_own(self, content: Mapping[str, Any]) -> bool:
        """Whether an answer's JSON object is one that a receiver of this kind gives."""

    @abstractmethod
    def _post(self, records: Sequence[Record]) -> Answer:
        """The answer to a request with all of them; raises `Undelivered`."""

    @abstractmethod
    def _judge(self, records: Sequence[Record], answer: Answer) -> int:
        """How many of them an answer that is no refusal refuses; raises `Undelivered` for what it does not take now."""
