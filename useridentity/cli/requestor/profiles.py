"""The profiles file: peers and OpenID providers by name, so that `useridentity echo pacs` is enough.

It says who may be asked as whom, so it is kept as a file of secrets is: its owner's, mode 0600.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from useridentity.ae_title import title_problem
from useridentity.cli.ending import Exit, Failure
from useridentity.credential import ConfirmationWord
from useridentity.errors import ConfigurationError
from useridentity.mechanisms.private_file import read
from useridentity.settings import decode, nearest, report_unknown
from useridentity.settings.toml_file import Key, TomlFile
from useridentity.tls import Profile

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TlsProfile:
    """`[peer.NAME.tls]`: files as for `useridentity.tls.client_context`; `server_name` is the name in the
    acceptor's certificate where that is not the host dialled."""

    ca: Path
    cert: Path | None = None
    key: Path | None = None
    crl: Path | None = None
    profile: Profile = "B.12"
    server_name: str = ""


@dataclass(frozen=True, slots=True)
class PeerProfile:
    """`[peer.NAME]`: what HOST, PORT and the options of the same names say; `receive` is a port, `policy` a file."""

    host: str
    port: int
    called: str = "ANY-SCP"
    calling: str = "USERIDENTITY"
    identity: str = ""
    passcode_file: Path | None = None
    confirmation: ConfirmationWord = "required"
    plaintext: Literal["refuse", "allow"] = "refuse"
    tls: TlsProfile | None = None
    receive: int | None = None
    policy: Path | None = None


@dataclass(frozen=True, slots=True)
class OidcProfile:
    """`[oidc.NAME]`, for `--identity oidc:NAME`: as for `useridentity.OidcClientCredentials`, its secrets in files
    of their own. With `subject_token_file`, the token of a user, it is an exchange (`OidcTokenExchange`)."""

    issuer: str
    client_id: str
    client_secret_file: Path | None = None
    subject_token_file: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    scope: str = ""
    audience: str = ""
    resource: str = ""
    reuse: Literal["until-expiry", "never"] = "until-expiry"


@dataclass(frozen=True, slots=True)
class Profiles:
    """The content of a profiles file; empty where there is none."""

    path: Path
    peer: Mapping[str, PeerProfile] = field(default_factory=dict)
    oidc: Mapping[str, OidcProfile] = field(default_factory=dict)

    def peer_named(self, name: str) -> PeerProfile:
        """Raises `Failure` where there is none."""
        advice = "a host takes its port as the next word: pacs.example.org 104"
        return _named(self.peer, name, self.path, f"[peer.{name}]", advice)

    def oidc_named(self, name: str) -> OidcProfile:
        """Raises `Failure` where there is none; it does not repeat the name, which may be a token."""
        return _named(
            self.oidc, name, self.path, "[oidc.NAME] of that name", "a token in a file of its own is jwt:FILE"
        )


def default_path() -> Path:
    """In the user's folder for configuration, as the XDG base directory specification has it."""
    home = os.environ.get("XDG_CONFIG_HOME", "")
    folder = Path(home) if os.path.isabs(home) else Path.home() / ".config"
    return folder / "useridentity" / "profiles.toml"


def load(path: Path | None) -> Profiles:
    """The profiles in `path`, or in the default place, where there need be none.

    Raises `ConfigurationError` with every problem of the file, its line and key.
    """
    where = path or default_path()
    if path is None and not os.path.lexists(where):
        return Profiles(where)
    file = TomlFile(where, read(where))
    problems: list[str] = []

    def report(key: Key, what: str) -> None:
        problems.append(file.problem(key, what))

    report_unknown(file.content, ("peer", "oidc"), (), report)
    found = Profiles(where, _all(PeerProfile, file, "peer", report), _all(OidcProfile, file, "oidc", report))
    for name, peer in found.peer.items():
        _check_peer(peer, ("peer", name), report)
    if problems:
        raise ConfigurationError(problems)
    return found


def _all(cls: type[T], file: TomlFile, table: str, report: Any) -> dict[str, T]:
    content = file.content.get(table, {})
    if not isinstance(content, Mapping):
        report((table,), f"should be tables: [{table}.NAME]")
        return {}
    made = {name: decode(cls, each, (table, name), report, file.path.parent) for name, each in content.items()}
    return {name: each for name, each in made.items() if each is not None}


def _check_peer(peer: PeerProfile, key: Key, report: Any) -> None:
    for name in ("port", "receive"):
        if not is_port(getattr(peer, name) or 1):
            report((*key, name), f"{getattr(peer, name)} is no port; ports are 1 to 65535")
    for name in ("called", "calling"):
        if problem := title_problem(getattr(peer, name)):
            report((*key, name), problem)


def is_port(number: int) -> bool:
    return 1 <= number <= 65_535


def _named(known: Mapping[str, T], name: str, path: Path, table: str, advice: str) -> T:
    if name in known:
        return known[name]
    if known or os.path.lexists(path):
        problem = f"{path}: there is no {table}{nearest(name, known)}"
    else:
        problem = f"there is no {table}: {path} does not exist; docs/cli.md says how to write it"
    raise Failure(Exit.UNUSABLE, problem, advice)
