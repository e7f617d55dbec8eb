"""pynetdicom's timer on the monotonic clock: setting the machine's clock neither ends nor prolongs anything."""

from __future__ import annotations

import time

from pynetdicom.timer import Timer


class MonotonicTimer(Timer):
    """A `Timer` that is not the wall clock's; `expired` follows from `remaining` as in pynetdicom."""

    def start(self) -> None:
        self._start_time = time.monotonic()
        self._end_time = None

    def stop(self) -> None:
        """A stopped timer has not expired, however late it was stopped."""
        self._start_time = None

    @property
    def remaining(self) -> float:
        """Seconds left, negative once expired; 1 where there is no time-out."""
        if self.timeout is None:
            return 1
        if self._start_time is None:
            return self.timeout
        return self.timeout - (time.monotonic() - self._start_time)
