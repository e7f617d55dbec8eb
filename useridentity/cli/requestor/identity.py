"""`--identity KIND:WHO`: the credential provider it stands for, its secret from a file, the environment or a prompt."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import typer

from useridentity.cli.ending import Exit
from useridentity.cli.passcode import ask, no_file, read_passcode
from useridentity.cli.requestor.profiles import OidcProfile, Profiles
from useridentity.credential import CredentialProvider
from useridentity.errors import ConfigurationError
from useridentity.mechanisms.private_file import read
from useridentity.settings import nearest

PASSCODE_VARIABLE = "USERIDENTITY_PASSCODE"

KINDS = {
    "username": "username:NAME",
    "passcode": "passcode:NAME, whose passcode is asked for",
    "kerberos": "kerberos:SERVICE@HOST, with a ticket",
    "saml": "saml:FILE, an assertion",
    "jwt": "jwt:FILE, a token",
    "oidc": "oidc:NAME, a provider of the profiles file that gives a token",
    "none": "none, whatever the profile says",
}
"""The kinds of identity, and how each is written."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where secrets come from, and where they may go.

    Fields:
        passcode_file: a file, "-" for standard input, None for the environment or a prompt.
        server: the peer as the user named it; bearer credentials go to no other.
        plaintext: as for every provider.
        folder: where the files of saml and jwt are looked for.
        profiles: for `oidc:NAME`.
    """

    passcode_file: str | None
    server: str
    plaintext: Literal["refuse", "allow"]
    folder: Path
    profiles: Profiles


def provider(text: str, sources: Sources) -> CredentialProvider | None:
    """The provider that `text` names, None for none.

    Raises `typer.BadParameter` for text that names none, `ConfigurationError` or `Failure` for what cannot be used.
    None of them repeats what may be a secret, given where the name of its file belongs.
    """
    kind, colon, who = text.partition(":")
    if not text or text == "none":
        return None
    if kind not in KINDS or kind == "none":
        raise typer.BadParameter(f"there is no such kind of identity{nearest(kind, KINDS)}", param_hint="--identity")
    if not colon or not who or (kind == "kerberos" and "@" not in who):
        raise typer.BadParameter(f"write {kind}:{_EXAMPLES[kind]}", param_hint="--identity")
    return _made(kind, who, sources)


_EXAMPLES = {
    "username": "alice",
    "passcode": "alice",
    "kerberos": "dicom@pacs.example.org",
    "saml": "assertion.xml",
    "jwt": "token.jwt",
    "oidc": "hospital",
}


def _made(kind: str, who: str, sources: Sources) -> CredentialProvider:
    match kind:
        case "username":
            from useridentity.mechanisms.username import Username

            return Username(who)
        case "passcode":
            from useridentity.mechanisms.passcode import UsernamePasscode

            return UsernamePasscode(_username(who), _passcode(who, sources), plaintext=sources.plaintext)
        case "kerberos":
            from useridentity.mechanisms.kerberos import Kerberos

            return Kerberos(who)
        case "saml":
            from useridentity.mechanisms.saml import Saml

            return Saml(
                _file(who, "saml:FILE", "assertion", sources), peers=[sources.server], plaintext=sources.plaintext
            )
        case "jwt":
            from useridentity.mechanisms.jwt import JwtFile

            return JwtFile(
                _file(who, "jwt:FILE", "token", sources), peers=[sources.server], plaintext=sources.plaintext
            )
        case _:
            return _oidc(sources.profiles.oidc_named(who), sources)


def _file(name: str, option: str, what: str, sources: Sources) -> Path:
    path = sources.folder / name
    if not os.path.lexists(path):
        raise no_file(Exit.NOT_SENT, f"not sent: --identity {option}", what)
    return path


def _username(who: str) -> str:
    if ":" in who:  # and not repeated here: an error may be logged where the command line was not
        raise typer.BadParameter(
            "write passcode:NAME. A passcode on the command line is seen by every user of this machine and kept in "
            "the shell's history: change it if this was one, and give it with --passcode-file or at the prompt",
            param_hint="--identity",
        )
    return who


def _passcode(who: str, sources: Sources) -> bytes:
    passcode = _given_passcode(who, sources)
    if not passcode:
        raise ConfigurationError("the passcode given is empty")
    return passcode


def _given_passcode(who: str, sources: Sources) -> bytes:
    if sources.passcode_file is not None:
        return read_passcode(sources.passcode_file)
    if PASSCODE_VARIABLE in os.environ:
        return os.fsencode(os.environ.pop(PASSCODE_VARIABLE))
    if not sys.stdin.isatty():
        raise ConfigurationError(
            f"no passcode: give --passcode-file PATH, - for standard input, or set {PASSCODE_VARIABLE}"
        )
    return ask(f"Passcode for {who}: ").encode("utf-8", "surrogateescape")


def _oidc(profile: OidcProfile, sources: Sources) -> CredentialProvider:
    from useridentity.mechanisms.jwt import OidcClientCredentials, OidcTokenExchange

    secret = profile.client_secret_file
    common = {
        "issuer": profile.issuer,
        "client_id": profile.client_id,
        "peers": [sources.server],
        "client_secret": None if secret is None else read(secret).strip(),
        "cert": profile.cert,
        "key": profile.key,
        "ca": profile.ca,
        "scope": profile.scope,
        "audience": profile.audience,
        "resource": profile.resource,
        "reuse": profile.reuse,
        "plaintext": sources.plaintext,
    }
    if profile.subject_token_file is None:
        return OidcClientCredentials(**common)  # type: ignore[arg-type]  # each of its own type
    return OidcTokenExchange(subject_token=read(profile.subject_token_file).strip(), **common)  # type: ignore[arg-type]
