"""This process, as records name it."""

from __future__ import annotations

import os
import socket
from functools import cache

from useridentity.audit.record import Acceptor


@cache
def host() -> str:
    """The name of this machine; the first time, a name server may be asked."""
    return socket.getfqdn()


def this_process() -> Acceptor:
    """An acceptor without an AE title or an address: what the journal says of itself, it says for all of them."""
    return Acceptor(host=host(), process=os.getpid())
