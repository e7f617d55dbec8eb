"""A passcode store in a directory: the user's own passcode binds there (RFC 4513 5.1), over TLS."""

from __future__ import annotations

import os

from useridentity.decision import Reason
from useridentity.errors import Refused, Unavailable
from useridentity.mechanisms.ldap_directory import Connection, Directory, Entry, entries, only, words
from useridentity.mechanisms.ldap_settings import USER, LdapSettings
from useridentity.mechanisms.passcode import User

try:
    import ldap  # type: ignore[import-untyped]
    import ldap.dn  # type: ignore[import-untyped]
    from ldap.controls.ppolicy import PasswordPolicyControl  # type: ignore[import-untyped]
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "directories need python-ldap: pip install 'useridentity[ldap]'", name=missing.name
    ) from missing

_REFUSALS = (
    ldap.INVALID_CREDENTIALS,
    ldap.INAPPROPRIATE_AUTH,  # the entry has no passcode
    ldap.NO_SUCH_OBJECT,
    ldap.INVALID_DN_SYNTAX,
    ldap.UNWILLING_TO_PERFORM,  # 389 Directory Server: the account is inactive
    ldap.CONSTRAINT_VIOLATION,  # 389 Directory Server: too many tries
)
"""What directories answer to a bind that is wrong; anything else says nothing of the passcode."""

_POLICY = {0: "the passcode has ended", 1: "the account is locked", 2: "the passcode has to be changed"}
"""Errors of a password policy (draft-behera-ldap-password-policy 6.2) that come with a bind."""


class LdapStore:
    """The users of one directory, as an acceptor asks for them, from any number of threads.

    Raises `ConfigurationError` with all that is wrong with the settings; whether the directory answers
    is not asked.
    """

    def __init__(self, url: str, settings: LdapSettings) -> None:
        problems = []
        if settings.bind_dn and not ldap.dn.is_dn(settings.bind_dn.replace(USER, "x")):
            problems.append(f"ldap.bind_dn: {settings.bind_dn!r} is no DN (RFC 4514)")
        self._directory = Directory(url, settings, problems)
        self._settings = settings

    def __repr__(self) -> str:
        return f"LdapStore({self._directory.url!r})"

    def verify(self, username: str, passcode: bytes) -> User:
        """The user of this name, where the passcode is theirs.

        Raises `Refused` (CREDENTIAL_INVALID) after the same exchange with the directory whether the name or
        the passcode is wrong, and `Unavailable` where the directory does not tell.
        """
        if not passcode:
            # RFC 4513 5.1.2: a bind with a name and no passcode succeeds, as nobody.
            raise Refused(Reason.CREDENTIAL_INVALID, "an empty passcode proves nothing to a directory")
        check = self._bind_then_read if self._settings.bind_dn else self._search_then_bind
        return self._user(self._directory.ask(lambda connection: check(connection, username, passcode)))

    def close(self) -> None:
        """End the connections that are kept."""
        self._directory.close()

    # Two ways to a user's entry.

    def _bind_then_read(self, connection: Connection, username: str, passcode: bytes) -> Entry:
        if ldap.dn.escape_dn_chars(username) != username:
            raise Refused(Reason.CREDENTIAL_INVALID, "the username has characters that mean something in a DN")
        dn = self._settings.bind_dn.replace(USER, username)
        _bind(connection, dn, passcode, "unknown user or wrong passcode")
        return only(entries(connection.search_ext_s(dn, ldap.SCOPE_BASE, attrlist=self._settings.attributes)))[1]

    def _search_then_bind(self, connection: Connection, username: str, passcode: bytes) -> Entry:
        found = self._directory.search(connection, username)
        if not found:
            # As many exchanges as for a user who exists: a bind that nothing can make succeed.
            nobody = f"cn={os.urandom(16).hex()},{self._settings.search_base}"
            _bind(connection, nobody, passcode, "unknown user")
            raise Unavailable(f"{self._directory.url} lets anybody bind as nobody it knows")
        dn, entry = only(found)
        _bind(connection, dn, passcode, "wrong passcode")
        return entry

    # What the directory knows of a user.

    def _user(self, entry: Entry) -> User:
        attribute = self._settings.user_id
        ids = self._directory.values(entry, attribute)
        if len(ids) != 1 or not ids[0] or "\ufffd" in ids[0]:
            raise Unavailable(f"the entry has not exactly one {attribute} that is text, to name the user by")
        return User(ids[0], self._directory.display_name(entry), self._directory.groups(entry))


def _bind(connection: Connection, dn: str, passcode: bytes, refused: str) -> None:
    """Bind as a user whose passcode may be used as it is: a bind succeeds, too, where it is good for its change alone.

    A directory that knows no password policy ignores the control, and says nothing about one.
    """
    detail = ""
    try:
        *_, controls = connection.simple_bind_s(dn, passcode, serverctrls=[PasswordPolicyControl()])
        for control in controls:
            if isinstance(control, PasswordPolicyControl) and control.error is not None:
                detail = f"{_POLICY.get(control.error, 'the password policy refuses it')} (password policy)"
    except _REFUSALS as error:
        detail = f"{refused}: {words(error)}"
    if detail:
        raise Refused(Reason.CREDENTIAL_INVALID, detail)
