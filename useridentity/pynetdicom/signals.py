"""Reloading by signals, as daemons do: SIGHUP reads the files again, SIGUSR1 also ends who may not go on."""

from __future__ import annotations

import logging
import signal
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

from useridentity.errors import ConfigurationError

if TYPE_CHECKING:
    from useridentity.pynetdicom.server import GuardedServer

LOGGER = logging.getLogger("useridentity.pynetdicom")

RELOAD = signal.SIGHUP
RELOAD_AND_DROP = signal.SIGUSR1


def reload_on_signals(*servers: GuardedServer) -> None:
    """From now on SIGHUP reloads `servers`, and SIGUSR1 reloads them and drops associations (`GuardedServer.reload`).

    Files that cannot be used change nothing and are logged, each problem as an error. Raises
    `ConfigurationError` unless called in the process's main thread, where Python handles signals.
    """
    if threading.current_thread() is not threading.main_thread():
        raise ConfigurationError("reload_on_signals: call it in the main thread, where Python handles signals")
    asked: SimpleQueue[bool] = SimpleQueue()

    def serve() -> None:
        while True:
            drop = asked.get()
            while not asked.empty():  # one for all that came meanwhile
                drop |= asked.get()
            for server in servers:
                _reload(server, drop=drop)

    threading.Thread(target=serve, name="reload on signals", daemon=True).start()
    for signum in (RELOAD, RELOAD_AND_DROP):
        # The one thing to do here: a handler interrupts whatever holds a lock, and `put` of this queue needs none.
        signal.signal(signum, lambda number, _frame: asked.put(number == RELOAD_AND_DROP))


def _reload(server: GuardedServer, *, drop: bool) -> None:
    try:
        dropped = server.reload(drop=drop)
    except ConfigurationError as error:
        for problem in error.problems:
            LOGGER.error("not reloaded, all stays as it was: %s", problem)  # noqa: TRY400  it says all, a traceback hides it
    except Exception:  # the next signal must find somebody who listens
        LOGGER.exception("not reloaded")
    else:
        LOGGER.info("reloaded; %d associations dropped", dropped)
