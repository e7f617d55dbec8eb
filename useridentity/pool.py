"""The threads that validators are asked in: a bounded number for each, so that one that hangs holds its own only."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from useridentity.decision import Reason
from useridentity.errors import Unavailable
from useridentity.policy import Result

WORKERS = 4
"""Threads a validator may have: more Argon2 hashes at once than cores only cost memory."""

BACKLOG = 64
"""Associations that may wait for one validator; at 50 ms each the last waits under a second."""


class _Task:
    __slots__ = ("call", "finished", "overdue", "result")

    def __init__(self, call: Callable[[], Result]) -> None:
        self.call = call
        self.finished = threading.Event()
        self.overdue = False
        self.result: Result = Unavailable("not finished")


class Pool:
    """The threads of one validator: started on demand, bounded in number and in what waits for them."""

    def __init__(self, name: str, workers: int = WORKERS, backlog: int = BACKLOG) -> None:
        self._name = name
        self._workers = workers
        self._backlog = backlog
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._waiting: deque[_Task] = deque()
        self._threads = 0
        self._idle = 0
        self._overdue = 0
        self._closed = False
        self._retired = False

    def run(self, call: Callable[[], Result], deadline: float) -> Result:
        """The result of `call`; raises `Unavailable` where it is not had by `deadline` (monotonic seconds)."""
        task = _Task(call)
        with self._lock:
            self._admit(task)
        if not task.finished.wait(max(0.0, deadline - time.monotonic())):
            self._give_up(task)
        return task.result

    def retire(self) -> None:
        """Keep no thread that has nothing to do; what is still asked is answered."""
        with self._lock:
            self._retired = True
            self._work.notify_all()

    def close(self) -> None:
        self.retire()
        with self._lock:
            self._closed = True

    def _admit(self, task: _Task) -> None:
        if self._closed or self._overdue >= self._workers:
            raise Unavailable(f"validator {self._name}: every thread is overdue or it is closed")
        if len(self._waiting) >= self._backlog:
            raise Unavailable(f"validator {self._name}: {self._backlog} associations wait already", Reason.CAPACITY)
        self._waiting.append(task)
        if self._idle >= len(self._waiting):
            self._work.notify()
        elif self._threads < self._workers:
            self._start_thread(task)

    def _start_thread(self, task: _Task) -> None:
        try:
            threading.Thread(target=self._serve, name=f"validator {self._name}", daemon=True).start()
        except RuntimeError:
            self._waiting.remove(task)
            raise Unavailable(f"validator {self._name}: no thread to be had", Reason.CAPACITY) from None
        self._threads += 1

    def _give_up(self, task: _Task) -> None:
        with self._lock:
            if task.finished.is_set():
                return
            if task in self._waiting:
                self._waiting.remove(task)
            else:
                task.overdue = True
                self._overdue += 1
        raise Unavailable(f"validator {self._name} did not answer in time", Reason.TIMED_OUT)

    def _serve(self) -> None:
        while self._serve_one():
            pass

    def _serve_one(self) -> bool:
        """Wait for a task and do it; nothing of it, the credential least of all, outlives this call."""
        task = self._next()
        if task is None:
            return False
        task.result = task.call()
        with self._lock:
            self._overdue -= task.overdue
            task.finished.set()
        return True

    def _next(self) -> _Task | None:
        with self._lock:
            while not self._waiting and not self._retired:
                self._idle += 1
                self._work.wait()
                self._idle -= 1
            if not self._waiting:
                self._threads -= 1
                return None
            return self._waiting.popleft()
