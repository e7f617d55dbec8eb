"""Sinks as an administrator writes them: a URL, or a table with a `url` and more (`[audit] forward = [...]`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import SplitResult

from useridentity.audit.message import MessageStyle
from useridentity.audit.sinks import syslog_tls, syslog_udp
from useridentity.audit.sinks.endpoint import Endpoint
from useridentity.audit.sinks.fhir import BatchFhir, SingleFhir
from useridentity.audit.sinks.json_lines import JsonLines
from useridentity.audit.sinks.otlp import OtlpLogs
from useridentity.audit.sinks.python_logging import PythonLogging
from useridentity.audit.sinks.sink import Sink
from useridentity.audit.sinks.syslog import MAX_SIZE, MessageId, SyslogFormat
from useridentity.errors import ConfigurationError
from useridentity.network import located, shown
from useridentity.settings import Bytes, decode, nearest
from useridentity.settings.secret import Secret
from useridentity.settings.toml_file import Key, spelled
from useridentity.tls.client import ClientTls

OTLP_PATH = "/v1/logs"  # OTLP specification, "OTLP/HTTP Request"
AUDIT_EVENT = "/AuditEvent"

MIN_SIZE = 2048
"""Octets that every receiver should take (RFC 5426 3.2); a datagram of more may be lost on its way."""

MIN_TLS_SIZE = 8192
"""What receivers should take over TLS (RFC 5425 4.3.1), and what any message but one of many studies fits into."""


class SinkSettings(Protocol):
    """What a table of `forward` is decoded into."""

    @property
    def url(self) -> str: ...
    @property
    def name(self) -> str: ...
    def build(self, style: MessageStyle, folder: Path) -> Sink:
        """The sink, with nothing opened; raises `ConfigurationError`."""


@dataclass(frozen=True, slots=True)
class SyslogTlsSettings:
    """Syslog over TLS: "syslog+tls://arr.example.org:6514".

    Fields:
        url: the receiver.
        ca: the authorities that may vouch for it, PEM.
        cert, key: our own certificate, where it asks for one.
        crl: a revocation list of each of those authorities, PEM: a receiver that one of them lists, or whose
            authority's has ended, gets nothing. This file and those above are read again once they are changed.
        close: "tcp" for a receiver that never sends close_notify (rsyslog with GnuTLS): the end of a connection then
            counts as delivery, which whoever is in between can forge.
        message_id: MSGID, by PS3.15 or by IHE.
        bom: "send" begins the message with a byte order mark (RFC 5424 6.4).
        max_size: of a message.
        name: under which the journal keeps the sink's place; without one, the URL.
    """

    url: str
    ca: Path
    cert: Path | None = None
    key: Path | None = None
    crl: Path | None = None
    close: syslog_tls.Close = "notify"
    message_id: MessageId = "DICOM+RFC3881"
    bom: Literal["omit", "send"] = "omit"
    max_size: Bytes = MAX_SIZE
    name: str = ""

    def build(self, style: MessageStyle, folder: Path) -> Sink:  # noqa: ARG002
        host, port = _host(self.url, syslog_tls.PORT)
        tls = ClientTls(self.ca, self.cert, self.key, self.crl)
        encoder = SyslogFormat(style, self.message_id, self.bom == "send", _size(self.max_size, least=MIN_TLS_SIZE))
        return syslog_tls.TlsSyslog(self.name or self.url, host, port, tls, encoder, self.close)


@dataclass(frozen=True, slots=True)
class SyslogUdpSettings:
    """Syslog over UDP: "syslog+udp://arr.example.org:514". Nothing is encrypted and nothing confirmed.

    Fields:
        url: the receiver.
        message_id, bom, max_size, name: as for TLS; a datagram has no more than 65,507 octets.
    """

    url: str
    message_id: MessageId = "DICOM+RFC3881"
    bom: Literal["omit", "send"] = "omit"
    max_size: Bytes = MAX_SIZE
    name: str = ""

    def build(self, style: MessageStyle, folder: Path) -> Sink:  # noqa: ARG002
        host, port = _host(self.url, syslog_udp.PORT)
        size = _size(self.max_size, syslog_udp.MAX_DATAGRAM)
        encoder = SyslogFormat(style, self.message_id, self.bom == "send", size, cut=True)
        return syslog_udp.UdpSyslog(self.name or self.url, host, port, encoder)


@dataclass(frozen=True, slots=True)
class FhirSettings:
    """A FHIR server: "https://fhir.example.org/AuditEvent".

    Fields:
        url: where AuditEvents are created.
        mode: "single" sends each on its own, "batch" many in a Bundle, to the URL without its "/AuditEvent".
        ca: the authorities that may vouch for it, PEM; without one, the system's.
        cert, key: our own certificate, where it asks for one.
        crl: as for syslog; needs `ca`.
        token: a file, for nobody else to read, with a bearer token, or "env:NAME", the variable of the environment
            that holds it; read anew for each request.
        name: as for syslog.
    """

    url: str
    mode: Literal["single", "batch"] = "single"
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    crl: Path | None = None
    token: Secret | None = None
    name: str = ""

    def build(self, style: MessageStyle, folder: Path) -> Sink:  # noqa: ARG002
        _parts(self.url)
        tls, authorization = ClientTls(self.ca, self.cert, self.key, self.crl), _bearer(self.token)
        name = self.name or self.url
        if self.mode == "single":
            return SingleFhir(name, Endpoint(self.url, tls, authorization), style)
        if "?" in self.url:
            raise ConfigurationError("url: a batch is posted to the server's base address, which has no query")
        base = self.url.rstrip("/").removesuffix(AUDIT_EVENT)
        return BatchFhir(name, Endpoint(base, tls, authorization), style)


@dataclass(frozen=True, slots=True)
class OtlpSettings:
    """An OpenTelemetry collector: "otlp+https://collector.example.org:4318", or "otlp+http://127.0.0.1:4318".

    Fields:
        url: the collector; without a path, its "/v1/logs". Without TLS only on this machine.
        ca, cert, key, crl, token, name: as for FHIR.
    """

    url: str
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    crl: Path | None = None
    token: Secret | None = None
    name: str = ""

    def build(self, style: MessageStyle, folder: Path) -> Sink:  # noqa: ARG002
        parts = _parts(self.url)
        scheme = parts.scheme.removeprefix("otlp+")
        if scheme == "http" and not _is_here(parts.hostname or ""):
            raise ConfigurationError("url: records hold patients' names and would travel in clear; use otlp+https")
        url = parts._replace(scheme=scheme, path=parts.path.rstrip("/") or OTLP_PATH).geturl()
        name, authorization = self.name or self.url, _bearer(self.token)
        if scheme == "http":
            if any((self.ca, self.cert, self.key, self.crl)):
                raise ConfigurationError("url: ca, cert, key and crl are files of TLS; use otlp+https")
            return OtlpLogs(name, Endpoint(url, authorization=authorization))
        tls = ClientTls(self.ca, self.cert, self.key, self.crl)
        return OtlpLogs(name, Endpoint(url, tls, authorization))


@dataclass(frozen=True, slots=True)
class JsonLinesSettings:
    """A file of JSON lines: "jsonl:audit.jsonl", relative to the policy file.

    Fields:
        url: the file.
        name: as for syslog.
    """

    url: str
    name: str = ""

    def build(self, style: MessageStyle, folder: Path) -> Sink:  # noqa: ARG002
        path = folder / _rest(self.url, "a file, such as jsonl:audit.jsonl")
        if not path.parent.is_dir():
            raise ConfigurationError(f"url: {path.parent} is no folder")
        return JsonLines(self.name or self.url, path)


@dataclass(frozen=True, slots=True)
class LoggingSettings:
    """A Python logger: "logging:hospital.audit".

    Fields:
        url: the logger's name.
        name: as for syslog.
    """

    url: str
    name: str = ""

    def build(self, style: MessageStyle, folder: Path) -> Sink:  # noqa: ARG002
        return PythonLogging(self.name or self.url, _rest(self.url, "a logger, such as logging:hospital.audit"))


SETTINGS: Mapping[str, type[SinkSettings]] = {
    "syslog+tls": SyslogTlsSettings,
    "syslog+udp": SyslogUdpSettings,
    "https": FhirSettings,
    "otlp+https": OtlpSettings,
    "otlp+http": OtlpSettings,
    "jsonl": JsonLinesSettings,
    "logging": LoggingSettings,
}
"""The settings of each scheme of URL."""


def open_sink(setting: object, folder: Path, style: MessageStyle | None = None) -> Sink:
    """The sink that a URL or a table with a `url` describes; paths are relative to `folder`.

    Nothing is connected or opened yet. Raises `ConfigurationError` with everything wrong in it.
    """
    table = {"url": setting} if isinstance(setting, str) else setting
    if not isinstance(table, Mapping):
        raise ConfigurationError("should be a URL, or a table with a url")
    problems: list[str] = []

    def report(key: Key, what: str) -> None:
        problems.append(f"{spelled(key)}: {what}" if key else what)

    settings = decode(_settings_of(table), table, (), report, folder)
    if settings is None or problems:
        raise ConfigurationError(problems)
    return settings.build(style or MessageStyle(), folder)


def open_sinks(settings: Sequence[object], folder: Path, style: MessageStyle | None = None) -> list[Sink]:
    """The sinks of `[audit] forward`; raises `ConfigurationError` with everything wrong in all of them."""
    sinks: list[Sink] = []
    problems: list[str] = []
    for position, setting in enumerate(settings):
        try:
            sinks.append(open_sink(setting, folder, style))
        except ConfigurationError as error:
            problems += [f"forward[{position}]: {problem}" for problem in error.problems]
    twice = {sink.name for sink in sinks if sum(other.name == sink.name for other in sinks) > 1}
    problems += [f"forward: two sinks are named {name!r}; give one of them another name" for name in sorted(twice)]
    if problems:
        raise ConfigurationError(problems)
    return sinks


def _settings_of(table: Mapping[str, Any]) -> type[SinkSettings]:
    url = table.get("url")
    if not isinstance(url, str):
        raise ConfigurationError('needs a url, such as url = "syslog+tls://arr.example.org:6514"')
    scheme = url.partition(":")[0].lower()
    if scheme not in SETTINGS:
        raise ConfigurationError(f'url: "{scheme}" is no kind of sink{nearest(scheme, SETTINGS)}')
    return SETTINGS[scheme]


def _parts(url: str) -> SplitResult:
    """A URL that says where, and nothing that should be in a file or table of its own."""
    parts = located(url)
    if parts is None:
        raise ConfigurationError(f"url: {shown(url)} names no host that can be sent to")
    return parts


def _host(url: str, port: int) -> tuple[str, int]:
    parts = _parts(url)
    if parts.path not in ("", "/") or parts.query:
        raise ConfigurationError(f"url: {url!r} has more than a host and a port")
    return parts.hostname or "", parts.port or port


def _rest(url: str, example: str) -> str:
    rest = url.partition(":")[2]
    if not rest:
        raise ConfigurationError(f"url: {url!r} does not name {example}")
    return rest


def _size(octets: int, most: int = 1024 * 1024, least: int = MIN_SIZE) -> int:
    if not least <= octets <= most:
        raise ConfigurationError(f"max_size: {octets} should be {least} to {most} octets")
    return octets


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bearer(token: Secret | None) -> Callable[[], str]:
    """The Authorization header (RFC 6750 2.1); the token is read now, and again for each request."""
    if token is None:
        return lambda: ""

    def header() -> str:
        try:
            word = token.read().strip()
        except ConfigurationError as error:
            raise ConfigurationError(f"token: {problem}" for problem in error.problems) from None
        if not re.fullmatch("[!-~]+", word):
            raise ConfigurationError("token: should be one word of printable ASCII (RFC 6750 2.1)")
        return f"Bearer {word}"

    header()
    return header
