"""Records on a Python logger, for whatever handlers the program has. What a handler cannot do it tells nobody."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from useridentity.audit.record import Outcome, Record
from useridentity.audit.sinks.json_lines import line
from useridentity.audit.sinks.sink import AT_ONCE


class PythonLogging:
    """One line a record, its JSON; handlers that want the fields find them in the log record's `audit`."""

    batch = 100
    confirm_after = AT_ONCE

    def __init__(self, name: str, logger: str) -> None:
        self.name = name
        self._logger = logging.getLogger(logger)

    def send(self, records: Sequence[Record]) -> int:
        for record in records:
            level = logging.INFO if record.outcome is Outcome.SUCCESS else logging.WARNING
            text = line(record)
            self._logger.log(level, "%s", text, extra={"audit": json.loads(text), "event_id": record.event_id})
        return 0

    def confirm(self) -> None:
        """Handlers confirm nothing."""

    def close(self) -> None:
        """Handlers are the program's."""
