"""The peer a command talks to: HOST PORT or a profile's name, with the options that change it."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TypeVar

import typer

from useridentity.ae_title import title_problem
from useridentity.cli.requestor import profiles
from useridentity.cli.requestor.identity import Sources, provider
from useridentity.cli.requestor.options import Options
from useridentity.cli.requestor.profiles import PeerProfile, TlsProfile
from useridentity.credential import ConfirmationWord, CredentialProvider
from useridentity.tls import client_context

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptor:
    """An association acceptor, and how to call it; by whom is not known yet.

    Fields:
        host, port, called, calling, confirmation: as for `AE.associate`.
        tls: the context and the name to verify, None for plain TCP.
        timeout: seconds for connecting and for each answer.
        profile: what was made of the profile and the options, for what only some commands need.
        sources: where the identity's secret comes from.
    """

    host: str
    port: int
    called: str
    calling: str
    confirmation: ConfirmationWord
    tls: tuple[ssl.SSLContext, str] | None
    timeout: float
    profile: PeerProfile = field(repr=False)
    sources: Sources = field(repr=False)

    @property
    def where(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port} ({self.called})"

    def identified(self) -> Target:
        """With who calls it. Asks for a passcode, so it comes last: nobody is to type one for nothing.

        Raises as `provider` does.
        """
        known = {each.name: getattr(self, each.name) for each in fields(self)}
        return Target(**known, identity=provider(self.profile.identity, self.sources))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target(Acceptor):
    """An acceptor and who calls it: `identity` as for `AE.associate`."""

    identity: CredentialProvider | None


def acceptor(words: Sequence[str], options: Options) -> tuple[Acceptor, list[str]]:
    """The acceptor that the first of `words` name, and the words that follow.

    A number after the first word is a port. Raises `typer.BadParameter`, or `ConfigurationError` for what cannot
    be used.
    """
    known = profiles.load(options.profiles)
    if len(words) > 1 and words[1].isdecimal():
        named, rest, folder = PeerProfile(words[0], _port(words[1])), list(words[2:]), Path()
    else:
        named, rest, folder = known.peer_named(words[0]), list(words[1:]), known.path.parent
    peer = _overridden(named, options)
    if not peer.host.strip():
        raise typer.BadParameter("is empty; the acceptor's name or address belongs there", param_hint="HOST")
    context = _tls(peer)
    where = context[1] if context else peer.host
    sources = Sources(
        _passcode_file(peer, options), where, peer.plaintext, Path() if options.identity else folder, known
    )
    return Acceptor(
        host=peer.host,
        port=peer.port,
        called=ae_title(peer.called, "--called"),
        calling=ae_title(peer.calling, "--calling"),
        confirmation=peer.confirmation,
        tls=context,
        timeout=options.timeout,
        profile=peer,
        sources=sources,
    ), rest


def only_acceptor(words: Sequence[str], options: Options) -> Acceptor:
    """The acceptor that `words` name, for commands that take nothing else; raises as `acceptor` does."""
    where, rest = acceptor(words, options)
    if rest:
        raise typer.BadParameter(f"{rest[0]!r} is one word too many", param_hint="HOST PORT | PROFILE")
    return where


def _overridden(peer: PeerProfile, options: Options) -> PeerProfile:
    return replace(
        peer,
        called=_or(options.called, peer.called),
        calling=_or(options.calling, peer.calling),
        identity=_or(options.identity, peer.identity),
        confirmation=_or(options.confirmation, peer.confirmation),
        plaintext=_or(options.plaintext, peer.plaintext),
        tls=_overridden_tls(peer.tls, options),
    )


def _overridden_tls(tls: TlsProfile | None, options: Options) -> TlsProfile | None:
    given = {"cert": options.cert, "key": options.key, "crl": options.crl, "server_name": options.server_name}
    changes = {name: value for name, value in given.items() if value is not None}
    if options.tls_profile is not None:
        changes["profile"] = options.tls_profile
    if options.ca is not None:
        return replace(tls or TlsProfile(options.ca), ca=options.ca, **changes)  # type: ignore[arg-type]
    if tls is None and changes:
        raise typer.BadParameter("is missing: TLS needs the authorities to trust", param_hint="--ca")
    return None if tls is None else replace(tls, **changes)  # type: ignore[arg-type]


def _tls(peer: PeerProfile) -> tuple[ssl.SSLContext, str] | None:
    tls = peer.tls
    if tls is None:
        return None
    context = client_context(tls.ca, tls.cert, tls.key, crl=tls.crl, profile=tls.profile)
    return context, tls.server_name or peer.host


def _passcode_file(peer: PeerProfile, options: Options) -> str | None:
    return options.passcode_file or (None if peer.passcode_file is None else str(peer.passcode_file))


def _port(text: str) -> int:
    if len(text) > len("65535") or not profiles.is_port(int(text)):
        raise typer.BadParameter(f"{text} is no port; ports are 1 to 65535", param_hint="PORT")
    return int(text)


def ae_title(title: str, option: str) -> str:
    """The title; raises `typer.BadParameter` where it is none."""
    if problem := title_problem(title):
        raise typer.BadParameter(problem, param_hint=option)
    return title


def _or(given: T | None, otherwise: T) -> T:
    return otherwise if given is None else given
