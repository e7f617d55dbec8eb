"""Records posted over https, in halves where a receiver refuses what is among them."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence

from useridentity.audit.record import Record
from useridentity.audit.sinks.endpoint import Answer, Endpoint
from useridentity.audit.sinks.sink import AT_ONCE, Undelivered

LOGGER = logging.getLogger("useridentity.audit")


class PostingSink(ABC):
    """Posts records together; those that are refused for good are found, logged and passed over.

    They stay in the journal. To wait until a receiver that says "400 Bad Request" changes its mind would keep from
    it everything that came later.
    """

    confirm_after = AT_ONCE

    def __init__(self, name: str, endpoint: Endpoint, batch: int) -> None:
        self.name = name
        self.batch = batch
        self._endpoint = endpoint

    def send(self, records: Sequence[Record]) -> int:
        answer = self._post(records)
        if answer.is_refusal and len(records) > 1:
            return self._send_halves(records)
        if answer.is_refusal:
            return self._refused(records[0], answer.status)
        if not answer.is_success:
            raise Undelivered(f"{self._endpoint.url}: answered with status {answer.status}")
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

    @abstractmethod
    def _post(self, records: Sequence[Record]) -> Answer:
        """The answer to a request with all of them; raises `Undelivered`."""

    @abstractmethod
    def _judge(self, records: Sequence[Record], answer: Answer) -> int:
        """How many of them a successful answer refuses; raises `Undelivered` for those it does not take now."""
