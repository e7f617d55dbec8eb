"""A directory, asked by any number of threads over connections that are kept (RFC 4511), TLS with its CA pinned.

The library is python-ldap: OpenLDAP's own client, kept by a team and free of Python's lock while it waits.
ldap3 has had no release since 2021 and warns of deprecation on import; bonsai cannot bind twice on one
connection, and waits for ever for a directory that is silent in the TLS handshake.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from useridentity.errors import ConfigurationError, Refused, Unavailable
from useridentity.mechanisms.groups import local_groups
from useridentity.mechanisms.ldap_settings import USER, LdapSettings

try:
    import ldap  # type: ignore[import-untyped]
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
Entries = list[tuple[str, Entry]]

T = TypeVar("T")


class Directory:
    """One directory and how it is reached. Connections are one thread's at a time; who each is bound as is
    told anew for every question.

    Raises `ConfigurationError` with all that is wrong with the settings, `problems` included; whether the
    directory answers is not asked.
    """

    def __init__(self, url: str, settings: LdapSettings, problems: Iterable[str] = ()) -> None:
        problems = [*settings.problems(url), *problems]
        self._service = b""
        try:
            _check_ca(settings.ca)
        except ConfigurationError as error:
            problems += error.problems
        try:
            if settings.service_passcode is not None:
                self._service = settings.service_passcode.read().encode()
        except ConfigurationError as error:
            problems += (f"ldap.service_passcode: {problem}" for problem in error.problems)
        if problems:
            raise ConfigurationError(problems)
        self.url = url
        self._settings = settings
        self._groups = (
            {name.casefold(): local for name, local in settings.groups.map.items()} if settings.groups else {}
        )
        self._idle: deque[tuple[Connection, float]] = deque()

    def ask(self, question: Callable[[Connection], T]) -> T:
        """The answer over a connection that was kept or, where there is none or the directory ended it, a new one.

        Raises `Unavailable` where the directory does not tell, and what `question` raises.
        """
        try:
            return self._ask(question)
        except ldap.LDAPError as error:
            problem = f"{self.url} did not tell: {words(error)}"
        raise Unavailable(problem)

    def search(self, connection: Connection, username: str) -> Entries:
        """The entries that the filter finds by a name, as the service account, two at most.

        References to other directories are not entries, and not followed.
        """
        settings = self._settings
        connection.simple_bind_s(settings.service_dn, self._service)
        wanted = settings.filter.replace(USER, ldap.filter.escape_filter_chars(username))
        found = connection.search_ext_s(
            settings.search_base, ldap.SCOPE_SUBTREE, wanted, settings.attributes, sizelimit=2
        )
        return entries(found)

    def values(self, entry: Entry, attribute: str) -> list[str]:
        """An attribute's values; names of attributes have no case (RFC 4512 2.5)."""
        found = next((held for name, held in entry.items() if name.lower() == attribute.lower()), [])
        return [value.decode("utf-8", "replace") for value in found]

    def display_name(self, entry: Entry) -> str:
        """The name for people, empty where there is none."""
        return next(iter(self.values(entry, self._settings.display_name)), "")

    def groups(self, entry: Entry) -> frozenset[str]:
        """The local names of an entry's groups."""
        groups = self._settings.groups
        names = self.values(entry, groups.attribute) if groups else []
        return local_groups([name.casefold() for name in names], self._groups)

    def close(self) -> None:
        """End the connections that are kept."""
        while self._idle:
            _close(self._idle.pop()[0])

    def _ask(self, question: Callable[[Connection], T]) -> T:
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
        connection = ldap.initialize(self.url)
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


class Known(NamedTuple):
    """What a directory knows of somebody who was proved otherwise."""

    display_name: str = ""
    groups: frozenset[str] = frozenset()


class Lookup:
    """Finds those who were proved otherwise, by a ticket say, as a service account that may search.

    Raises `ConfigurationError` with all that is wrong with the settings.
    """

    def __init__(self, url: str, settings: LdapSettings) -> None:
        problems = ["ldap.bind_dn: needs the user's own passcode; write search_base"] if settings.bind_dn else []
        self._directory = Directory(url, settings, problems)

    def find(self, username: str) -> Known:
        """What is known of this name; nothing of one that the directory has not.

        Raises `Unavailable` where the directory does not tell, or has several of the name.
        """
        found = self._directory.ask(lambda connection: self._directory.search(connection, username))
        if not found:
            return Known()
        _, entry = only(found)
        return Known(self._directory.display_name(entry), self._directory.groups(entry))

    def close(self) -> None:
        """End the connections that are kept."""
        self._directory.close()


def entries(found: list[tuple[str | None, Entry]]) -> Entries:
    """What a search found, without its references to other directories."""
    return [(dn, entry) for dn, entry in found if dn]


def only(found: Entries) -> tuple[str, Entry]:
    """The one entry found; raises `Unavailable` where there is another number of them."""
    if len(found) != 1:
        raise Unavailable(f"the directory shows {len(found)} entries for the user, where there should be one")
    return found[0]


def words(error: ldap.LDAPError) -> str:
    """The directory's or libldap's own words, which hold nothing of what was sent."""
    said = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    told = [str(said[key]) for key in ("desc", "info") if said.get(key)]
    return ", ".join(told) or type(error).__name__


def _close(connection: Connection) -> None:
    with suppress(ldap.LDAPError):
        connection.unbind_ext_s()


def _check_ca(ca: Path | None) -> None:
    """Raise `ConfigurationError` for a file that libldap would only refuse when it is used."""
    if ca is not None:
        from useridentity.tls import client_context

        client_context(ca)
