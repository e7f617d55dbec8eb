"""The memory of many machines: one Redis server, version 5 or later.

Every call is one script: the server runs it whole, before anybody else's, or not at all. Nothing is
sent twice, since a script whose answer was lost may have been run.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from ssl import SSLError, SSLSocket, create_default_context
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.connection import BlockingConnectionPool, Connection, SSLConnection
from redis.exceptions import (
    AuthenticationError,
    ConnectionError,
    NoPermissionError,
    OutOfMemoryError,
    RedisError,
    TimeoutError,
)
from redis.retry import Retry

from useridentity.decision import Reason
from useridentity.errors import Unavailable
from useridentity.state import Debt, Kind
from useridentity.state.keys import MARGIN, digest, kept_until
from useridentity.state.memory import MAX_DEBTS, made_room
from useridentity.state.redis_url import RedisServer
from useridentity.validator import Once

TIMEOUT = 1.0
"""Seconds to connect, and again for an answer; a server near by needs one thousandth."""

CONNECTIONS = 16
"""At most; at 0.2 ms a call they carry 80,000 a second."""

COMMANDS = "+eval +info +get +set +exists +del +zadd +zcard +zpopmin +zremrangebyscore"
"""What the server's user must be allowed (ACL SETUSER)."""

PREFIX = b"useridentity:"

OLDEST = 3600.0
"""Seconds: the age of a credential that does not tell it; the longest that a single-use one is good for unless
an administrator says otherwise (the default of a JWT's max_lifetime)."""

_SPEND = """
local function info(section, name)
  return string.match(redis.call('INFO', section), '[\\r\\n]' .. name .. ':([^\\r\\n]*)')
end
if info('memory', 'maxmemory') ~= '0' and info('memory', 'maxmemory_policy') ~= 'noeviction' then
  return 'evicts'
end
if info('persistence', 'aof_enabled') ~= '1'
    and tonumber(info('server', 'uptime_in_seconds')) < tonumber(ARGV[1]) then
  return 'forgot'
end
for _, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 1 then return 'spent' end
end
for i, key in ipairs(KEYS) do redis.call('SET', key, '', 'PX', ARGV[i + 1]) end
return 'fresh'
"""
"""KEYS: what is spent. ARGV: the greatest age of these credentials in seconds, then a time to live in ms per key."""

_CHARGE = """
local now = tonumber(ARGV[1])
local last, known = string.match(redis.call('GET', KEYS[1]) or '', '(%S+) (%S+)')
local owed = known and math.max(tonumber(known) - math.max(tonumber(last), now), 0) or 0
local till = now + owed + tonumber(ARGV[2])
local debt = string.format('%.17g %.17g', now, till)
-- First: a server that is full refuses a script's first write, and none after it.
redis.call('SET', KEYS[1], debt, 'PX', math.ceil((till - now) * 1000))
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[1])
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) then
  local smallest = redis.call('ZPOPMIN', KEYS[2], ARGV[4])
  for i = 1, #smallest, 2 do
    if smallest[i] ~= KEYS[1] then redis.call('DEL', smallest[i]) end
  end
end
redis.call('ZADD', KEYS[2], string.format('%.17g', till), KEYS[1])
return debt
"""
"""KEYS: who is charged, and the index of that kind by when they are forgiven. ARGV: now, seconds, how many are kept,
how many are forgotten where there are more."""


class RedisStore:
    """A `Store` on a server, which is called when something is to be remembered and no sooner.

    A server that may evict keys, or that has started since the credential was issued, without an append-only
    file, and so may have forgotten that it was spent, cannot tell: `Unavailable`.
    """

    def __init__(self, server: RedisServer) -> None:
        self._server = _Server(server)
        self.ledger = RedisLedger(self._server)

    def spend(self, keys: Sequence[Once], now: datetime) -> bool:
        names = [PREFIX + b"spent:" + digest(once.key).hex().encode() for once in keys]
        lives = [int((kept_until(once, now) - now.timestamp()) * 1000) for once in keys]
        age = max((_age(once, now) for once in keys), default=0.0)
        verdict = self._server.run(_SPEND, names, [age, *lives])
        if verdict in _CANNOT_TELL:
            raise Unavailable(f"{self._server}: {_CANNOT_TELL[verdict]}", Reason.STATE_UNAVAILABLE)
        return bool(verdict == b"fresh")

    def close(self) -> None:
        self._server.close()


class RedisLedger:
    """A `Ledger` on the same server."""

    def __init__(self, server: _Server, capacity: int = MAX_DEBTS) -> None:
        self._server = server
        self._capacity = capacity

    def charge(self, kind: Kind, key: bytes, now: float, seconds: float) -> Debt:
        keys = [_name(kind, key), PREFIX + b"debts:" + kind.encode()]
        return _debt(self._server.run(_CHARGE, keys, [now, seconds, self._capacity, made_room(self._capacity)]))

    def debt(self, kind: Kind, key: bytes, now: float) -> Debt | None:
        found = self._server.call("GET", _name(kind, key))
        debt = _debt(found) if found else None
        return debt if debt and now < debt.until else None

    def forgive(self, kind: Kind, key: bytes) -> None:
        # Its place in the index is left to be forgotten in time.
        self._server.call("DEL", _name(kind, key))


class _Server:
    """A server's connections; whatever goes wrong with it is `Unavailable`, in words without secrets."""

    def __init__(self, server: RedisServer) -> None:
        self._name = str(server)
        self._redis = Redis(connection_pool=_pool(server))

    def __str__(self) -> str:
        return self._name

    def run(self, script: str, keys: Sequence[bytes], arguments: Sequence[float]) -> Any:
        return self.call("EVAL", script, len(keys), *keys, *arguments)

    def call(self, *command: bytes | str | float) -> Any:
        try:
            return self._redis.execute_command(*command)  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            problem = _problem(error)
        raise Unavailable(f"{self._name}: {problem}", Reason.STATE_UNAVAILABLE)

    def close(self) -> None:
        self._redis.connection_pool.disconnect()


_CANNOT_TELL = {
    b"evicts": "may evict keys and so forget what was used; set maxmemory-policy noeviction",
    b"forgot": "has started since this was issued and keeps no append-only file, so it may have forgotten that this "
    "was used; set appendonly yes",
}


def _age(once: Once, now: datetime) -> float:
    """For how many seconds `once` may have been used, whosever clock they are counted by."""
    return OLDEST if once.issued is None else max(0.0, (now - once.issued).total_seconds()) + MARGIN


class _TlsConnection(SSLConnection):
    """One that trusts the authority it is given and no other: the library's trusts the system's beside it."""

    def _connect(self) -> SSLSocket:
        sock = Connection._connect(self)  # type: ignore[no-untyped-call]
        try:
            context = create_default_context(cafile=self.ca_certs)
            if self.certfile:
                context.load_cert_chain(self.certfile, self.keyfile, password="")  # or OpenSSL asks at the terminal
            return context.wrap_socket(sock, server_hostname=self.host)
        except OSError:
            sock.close()
            raise


def _pool(server: RedisServer) -> BlockingConnectionPool:
    tls = {
        "ssl_ca_certs": server.ca and str(server.ca),
        "ssl_certfile": server.certificate and str(server.certificate),
        "ssl_keyfile": server.key and str(server.key),
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
    }
    return BlockingConnectionPool(  # type: ignore[no-untyped-call]
        max_connections=CONNECTIONS,
        timeout=TIMEOUT,
        connection_class=_TlsConnection if server.tls else Connection,
        host=server.host,
        port=server.port,
        db=server.database,
        username=server.username,
        password=server.password,
        socket_timeout=TIMEOUT,
        socket_connect_timeout=TIMEOUT,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        **(tls if server.tls else {}),
    )


def _name(kind: Kind, key: bytes) -> bytes:
    return PREFIX + f"debt:{kind}:{key.hex()}".encode()


def _debt(text: bytes) -> Debt:
    last, until = text.split()
    return Debt(float(last), float(until))


def _problem(error: Exception) -> str:
    """In our words: the server's own may repeat what it was sent, an AUTH for one."""
    match error:
        case AuthenticationError():
            return "refuses the user name or password"
        case NoPermissionError():
            return f"refuses its user a command; allow {COMMANDS} on ~useridentity:*"
        case OutOfMemoryError():
            return "is full (maxmemory)"
        case TimeoutError():
            return f"did not answer within {TIMEOUT:g} s"
        case ConnectionError():
            tls = error.__context__ if isinstance(error.__context__, SSLError) else None
            return f"cannot be reached ({f'TLS: {tls.reason}' if tls else type(error).__name__})"
    return f"failed ({type(error).__name__}); its user needs {COMMANDS} on ~useridentity:*, its log may say more"
