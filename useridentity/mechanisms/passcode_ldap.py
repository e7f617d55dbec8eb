"""A passcode store in a directory: the user's own passcode binds there (RFC 4513 5.1), over TLS.

The library is python-ldap: OpenLDAP's own client, kept by a team and free of Python's lock while it waits.
ldap3 has had no release since 2021 and warns of deprecation on import; bonsai cannot bind twice on one
connection, and waits for ever for a directory that is silent in the TLS handshake.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from useridentity.decision import Reason
from useridentity.errors import ConfigurationError, Refused, Unavailable
from useridentity.groups import local_groups
from useridentity.mechanisms import private_file
from useridentity.mechanisms.ldap_settings import USER, LdapSettings
from useridentity.mechanisms.passcode import User

try:
    import ldap  # type: ignore[import-untyped]
    import ldap.dn  # type: ignore[import-untyped]
    import ldap.filter  # type: ignore[import-untyped]
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "directories need python-ldap: pip install 'useridentity[ldap]'", name=missing.name
    ) from missing

IDLE = 60.0
"""Seconds for which a connection is kept unused: firewalls and directories forget those that are silent for
minutes, and a forgotten one costs a time-out."""

Connection = Any
Entry = Mapping[str, list[bytes]]

_REFUSALS = (
    ldap.INVALID_CREDENTIALS,
    ldap.INAPPROPRIATE_AUTH,  # the entry has no passcode
    ldap.NO_SUCH_OBJECT,
    ldap.INVALID_DN_SYNTAX,
    ldap.UNWILLING_TO_PERFORM,  # 389 Directory Server: the account is inactive
    ldap.CONSTRAINT_VIOLATION,  # 389 Directory Server: too many tries
)
"""What directories answer to a bind that is wrong; anything else says nothing of the passcode."""


class LdapStore:
    """The users of one directory, as an acceptor asks for them, from any number of threads.

    Connections are kept and used again; each is one thread's at a time, and who it is bound as is told
    anew for every user.

    Raises `ConfigurationError` with all that is wrong with the settings; whether the directory answers
    is not asked.
    """

    def __init__(self, url: str, settings: LdapSettings) -> None:
        problems = list(settings.problems(url))
        if settings.bind_dn and not ldap.dn.is_dn(settings.bind_dn.replace(USER, "x")):
            problems.append(f"ldap.bind_dn: {settings.bind_dn!r} is no DN (RFC 4514)")
        self._service = b""
        try:
            self._check_ca(settings.ca)
            if settings.service_passcode is not None:
                self._service = private_file.read(settings.service_passcode).removesuffix("\n").encode()
        except ConfigurationError as error:
            problems += error.problems
        if settings.service_passcode is not None and not self._service and not problems:
            problems.append(f"{settings.service_passcode}: is empty")
        if problems:
            raise ConfigurationError(problems)
        self._url = url
        self._settings = settings
        self._groups = (
            {name.casefold(): local for name, local in settings.groups.map.items()} if settings.groups else {}
        )
        self._idle: deque[tuple[Connection, float]] = deque()

    def __repr__(self) -> str:
        return f"LdapStore({self._url!r})"

    def verify(self, username: str, passcode: bytes) -> User:
        """The user of this name, where the passcode is theirs.

        Raises `Refused` (CREDENTIAL_INVALID) after the same exchange with the directory whether the name or
        the passcode is wrong, and `Unavailable` where the directory does not tell.
        """
        if not passcode:
            # RFC 4513 5.1.2: a bind with a name and no passcode succeeds, as nobody.
            raise Refused(Reason.CREDENTIAL_INVALID, "an empty passcode proves nothing to a directory")
        check = self._bind_then_read if self._settings.bind_dn else self._search_then_bind
        try:
            return self._user(self._ask(lambda connection: check(connection, username, passcode)))
        except ldap.LDAPError as error:
            problem = f"{self._url} did not tell: {_words(error)}"
        raise Unavailable(problem)

    def close(self) -> None:
        """End the connections that are kept."""
        while self._idle:
            _close(self._idle.pop()[0])

    # Two ways to a user's entry.

    def _bind_then_read(self, connection: Connection, username: str, passcode: bytes) -> Entry:
        if ldap.dn.escape_dn_chars(username) != username:
            raise Refused(Reason.CREDENTIAL_INVALID, "the username has characters that mean something in a DN")
        dn = self._settings.bind_dn.replace(USER, username)
        _bind(connection, dn, passcode, "unknown user or wrong passcode")
        found = connection.search_ext_s(dn, ldap.SCOPE_BASE, attrlist=self._settings.attributes)
        return _only(found)[1]

    def _search_then_bind(self, connection: Connection, username: str, passcode: bytes) -> Entry:
        settings = self._settings
        connection.simple_bind_s(settings.service_dn, self._service)
        wanted = settings.filter.replace(USER, ldap.filter.escape_filter_chars(username))
        found = connection.search_ext_s(
            settings.search_base, ldap.SCOPE_SUBTREE, wanted, settings.attributes, sizelimit=2
        )
        if not any(dn for dn, _ in found):
            # As many exchanges as for a user who exists: a bind that nothing can make succeed.
            _bind(connection, f"cn={os.urandom(16).hex()},{settings.search_base}", passcode, "unknown user")
            raise Unavailable(f"{self._url} lets anybody bind as nobody it knows")
        dn, entry = _only(found)
        _bind(connection, dn, passcode, "wrong passcode")
        return entry

    # Connections.

    def _ask(self, question: Callable[[Connection], Entry]) -> Entry:
        """The answer over a connection that was kept or, where there is none or the directory ended it, a new one."""
        while True:
            kept = self._kept()
            connection = kept or self._connect()
            try:
                answer = question(connection)
            except (Refused, Unavailable):
                self._keep(connection)
                raise
            except ldap.LDAPError as error:
                _close(connection)
                if kept is None or not isinstance(error, ldap.SERVER_DOWN):
                    raise
            else:
                self._keep(connection)
                return answer

    def _kept(self) -> Connection | None:
        with suppress(IndexError):
            while True:
                connection, since = self._idle.pop()
                if time.monotonic() - since < IDLE:
                    return connection
                _close(connection)
        return None

    def _keep(self, connection: Connection) -> None:
        self._idle.append((connection, time.monotonic()))

    def _connect(self) -> Connection:
        """A new connection, not bound. Every option is given: ldap.conf and the environment must not have a say."""
        settings = self._settings
        connection = ldap.initialize(self._url)
        connection.set_option(ldap.OPT_REFERRALS, ldap.OPT_OFF)
        connection.set_option(ldap.OPT_DEREF, ldap.DEREF_NEVER)
        connection.set_option(ldap.OPT_NETWORK_TIMEOUT, settings.timeout)
        connection.set_option(ldap.OPT_TIMEOUT, settings.timeout)
        # Without it libldap waits for ever for a directory that is silent in the TLS handshake.
        connection.set_option(ldap.OPT_CONNECT_ASYNC, ldap.OPT_ON)
        if settings.ca is not None:
            connection.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
            connection.set_option(ldap.OPT_X_TLS_CACERTFILE, str(settings.ca))
            connection.set_option(ldap.OPT_X_TLS_CACERTDIR, "")
            connection.set_option(ldap.OPT_X_TLS_PROTOCOL_MIN, ldap.OPT_X_TLS_PROTOCOL_TLS1_2)
            connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
        if settings.starttls:
            connection.start_tls_s()
        return connection

    # What the directory knows of a user.

    def _user(self, entry: Entry) -> User:
        settings = self._settings
        held = {name.lower(): [value.decode("utf-8", "replace") for value in values] for name, values in entry.items()}
        ids = held.get(settings.user_id.lower(), [])
        if len(ids) != 1 or not ids[0] or "\ufffd" in ids[0]:
            raise Unavailable(f"the entry has not exactly one {settings.user_id} that is text, to name the user by")
        groups = (
            [name.casefold() for name in held.get(settings.groups.attribute.lower(), [])] if settings.groups else []
        )
        display_name = next(iter(held.get(settings.display_name.lower(), [])), "")
        return User(ids[0], display_name, local_groups(groups, self._groups))

    @staticmethod
    def _check_ca(ca: Path | None) -> None:
        """Raise `ConfigurationError` for a file that libldap would only refuse when it is used."""
        if ca is not None:
            from useridentity.tls import client_context

            client_context(ca)


def _bind(connection: Connection, dn: str, passcode: bytes, refused: str) -> None:
    try:
        connection.simple_bind_s(dn, passcode)
        return
    except _REFUSALS as error:
        detail = f"{refused}: {_words(error)}"
    raise Refused(Reason.CREDENTIAL_INVALID, detail)


def _only(found: list[tuple[str | None, Entry]]) -> tuple[str, Entry]:
    """The one entry found; references to other directories are not entries, and not followed."""
    entries = [(dn, entry) for dn, entry in found if dn]
    if len(entries) != 1:
        raise Unavailable(f"the directory shows {len(entries)} entries for the user, where there should be one")
    return entries[0]


def _words(error: ldap.LDAPError) -> str:
    """The directory's or libldap's own words, which hold nothing of what was sent."""
    said = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    words = [str(said[key]) for key in ("desc", "info") if said.get(key)]
    return ", ".join(words) or type(error).__name__


def _close(connection: Connection) -> None:
    with suppress(ldap.LDAPError):
        connection.unbind_ext_s()
