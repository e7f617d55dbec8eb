"""redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE][?OPTIONS] into a server to call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from useridentity.errors import ConfigurationError
from useridentity.settings import nearest
from useridentity.settings.secret import SecretFile, variable

PORT = 6379
OPTIONS = ("password_file", "password_env", "ca", "certificate", "key", "plaintext")


@dataclass(frozen=True, slots=True)
class RedisServer:
    """A server and how to call it.

    Fields:
        host, port, database: where the keys are.
        username, password: for AUTH; no password, no AUTH. Neither is in any repr.
        tls: the connection is TLS, the server's certificate and name verified.
        ca: PEM of who signs it; None for those the system trusts.
        certificate, key: PEM of this client's own, where the server asks for one.
    """

    host: str
    port: int = PORT
    database: int = 0
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __str__(self) -> str:
        return f"Redis at {self.host}:{self.port}"


def parse(url: str, folder: Path) -> RedisServer:
    """The server that `url` names; files in its options are relative to `folder`.

    Raises `ConfigurationError`, which never repeats the URL: it may hold a password.
    """
    if "#" in url:
        raise ConfigurationError("has a #; in a password write %23")
    try:
        split = urlsplit(url)
        port = split.port or PORT
    except ValueError:
        raise ConfigurationError("is no URL: the port should be a number, and [ ] are for IPv6 addresses") from None
    options = _options(split.query)
    host = split.hostname
    if not host:
        raise ConfigurationError("names no server: write redis://HOST or rediss://HOST")
    tls = split.scheme == "rediss"
    _check_transport(tls, host, options)
    files = {name: folder / options[name] for name in ("ca", "certificate", "key") if name in options}
    for name, file in files.items():
        if not file.is_file():
            raise ConfigurationError(f"{name}={options[name]}: there is no file {file}")
    database = _database(split.path)
    username = unquote(split.username) if split.username else None
    return RedisServer(host, port, database, username, _password(split, options, folder), tls, **files)


def _options(query: str) -> Mapping[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ConfigurationError("after the ? write NAME=VALUE, and & between them") from None
    options = dict(pairs)
    if len(options) < len(pairs):
        raise ConfigurationError("an option after the ? is there twice")
    for name, value in options.items():
        if name not in OPTIONS:
            raise ConfigurationError(f'has the unknown option "{name}"{nearest(name, OPTIONS)}')
        if not value:
            raise ConfigurationError(f'has the option "{name}" without a value')
    return options


def _check_transport(tls: bool, host: str, options: Mapping[str, str]) -> None:
    if options.get("plaintext", "allow") != "allow":
        raise ConfigurationError('plaintext may only be "allow"; without it, other hosts need rediss://')
    for name in ("ca", "certificate", "key"):
        if name in options and not tls:
            raise ConfigurationError(f'has the option "{name}", which is for rediss://')
    if ("certificate" in options) != ("key" in options):
        raise ConfigurationError("needs both certificate=FILE and key=FILE, or neither")
    if not tls and not _is_loopback(host) and "plaintext" not in options:
        raise ConfigurationError(
            f"would call {host} without TLS, where others could answer that a used token is unused: "
            "write rediss://, or add ?plaintext=allow where other means protect the wire"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _database(path: str) -> int:
    number = path.strip("/") or "0"
    if not (number.isascii() and number.isdigit()):
        raise ConfigurationError("should end in /NUMBER, the database, or in the host")
    return int(number)


def _password(split: SplitResult, options: Mapping[str, str], folder: Path) -> str | None:
    given = [name for name in ("password_file", "password_env") if name in options]
    if len(given) + bool(split.password) > 1:
        raise ConfigurationError("names several passwords: leave all out but password_file or password_env")
    if not given:
        return unquote(split.password) if split.password else None
    value = options[given[0]]
    try:
        return (variable(value) if given[0] == "password_env" else SecretFile(folder / value)).read()
    except ConfigurationError as error:
        raise ConfigurationError(f"{given[0]}: {problem}" for problem in error.problems) from None
