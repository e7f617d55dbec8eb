"""The table `[validator.NAME.ldap]` of a policy file; what it means is `passcode_ldap`'s."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from useridentity.settings import Wait
from useridentity.settings.secret import Secret

USER = "{user}"
"""Where the username stands in a template."""


@dataclass(frozen=True, slots=True)
class LdapGroups:
    """Which of the directory's groups mean which local ones.

    Fields:
        attribute: of a user's entry that holds them, "memberOf" mostly.
        map: its values to local names, compared without case; what it does not name is dropped.
    """

    attribute: str
    map: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LdapSettings:
    """How users are found in a directory, and how it is reached.

    Fields:
        ca: PEM file with the authorities that the directory's certificate must come from.
        bind_dn: bind as the user: the entry's DN, "uid={user},ou=people,dc=example,dc=org"; the user must
            be allowed to read it.
        search_base: or search, then bind as what was found: below this DN, by `service_dn`.
        filter: finds one entry by the name (RFC 4515).
        service_dn: who searches.
        service_passcode: a file of mode 0600 that holds its passcode, or "env:NAME", the variable that does.
        user_id: the attribute that names the user, with one value.
        display_name: the attribute with a name for people.
        groups: none without it.
        starttls: "required" for a URL of ldap://.
        plaintext: "refuse" any ldap:// without TLS; "allow" is for a wire that other means protect.
        timeout: for connecting, and again for each answer of the directory.
    """

    ca: Path | None = None
    bind_dn: str = ""
    search_base: str = ""
    filter: str = f"(uid={USER})"
    service_dn: str = ""
    service_passcode: Secret | None = None
    user_id: str = "uid"
    display_name: str = "cn"
    groups: LdapGroups | None = None
    starttls: Literal["required"] | None = None
    plaintext: Literal["refuse", "allow"] = "refuse"
    timeout: Wait = 3.0

    @property
    def attributes(self) -> list[str]:
        """Those of an entry that are asked for."""
        return [self.user_id, self.display_name, *([self.groups.attribute] if self.groups else [])]

    def problems(self, url: str) -> Iterator[str]:
        """What is wrong with these settings for the directory at `url`."""
        yield from _url_problems(url)
        yield from self._tls_problems(url.partition(":")[0])
        if bool(self.bind_dn) == bool(self.search_base):
            yield "ldap: write bind_dn, to bind as the user, or search_base, to search first"
        if self.bind_dn and self.bind_dn.count(USER) != 1:
            yield f"ldap.bind_dn: {self.bind_dn!r} should hold {USER} once"
        if self.bind_dn and (self.service_dn or self.service_passcode):
            yield "ldap.service_dn: has no meaning with bind_dn, which needs no search"
        if self.search_base and not (self.service_dn and self.service_passcode):
            yield "ldap: search_base needs service_dn and service_passcode, who may search"
        if USER not in self.filter or not _is_balanced(self.filter):
            yield f"ldap.filter: {self.filter!r} should be a filter in parentheses that holds {USER} (RFC 4515)"

    def _tls_problems(self, scheme: str) -> Iterator[str]:
        if scheme == "ldaps" and (self.starttls or self.plaintext == "allow"):
            yield "ldap: starttls and plaintext have no meaning with ldaps://, which is TLS from the start"
        if scheme == "ldap" and bool(self.starttls) == (self.plaintext == "allow"):
            yield (
                'ldap: over ldap:// passcodes would travel in clear; use ldaps://, or starttls = "required", or '
                'plaintext = "allow" where other means protect the wire'
            )
        if self.ca is None and (scheme == "ldaps" or self.starttls):
            yield "ldap.ca: missing; the PEM file with the authority that the directory's certificate comes from"


def _url_problems(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("ldap", "ldaps") and parts.hostname and parts.port != 0
    except ValueError:
        sound = False
    if not sound or "@" in parts.netloc or parts.path not in ("", "/") or parts.query or parts.fragment:
        yield f'store = "{url}": write ldaps://HOST or ldaps://HOST:PORT, and nothing behind it'


def _is_balanced(text: str) -> bool:
    """Whether it is in parentheses, each of which is closed; an escaped one is written \\28 (RFC 4515 3)."""
    depth = 0
    for position, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth <= 0 and position < len(text) - 1:
            return False
    return depth == 0 and text.startswith("(")
