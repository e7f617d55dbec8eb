"""Syslog: the form of RFC 5424, and real receivers over TLS (RFC 5425) and UDP (RFC 5426)."""

from __future__ import annotations

import re
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from tests.audit import schemas
from tests.audit.forwarding import HANG, takes_datagrams, until
from tests.audit.samples import ACCEPTOR, JWT, STUDY, corpus, record
from tests.lib.certificates import Certificates
from tests.lib.processes import suspend
from tests.lib.rsyslog import Rsyslog, rsyslog
from useridentity.audit.message import MessageStyle
from useridentity.audit.record import Kind, Operation, Record, SopClass
from useridentity.audit.sinks import Sink, Undelivered, open_sink, syslog_tls, syslog_udp
from useridentity.audit.sinks.syslog import SyslogFormat

# RFC 5424 6: PRI VERSION SP TIMESTAMP SP HOSTNAME SP APP-NAME SP PROCID SP MSGID SP STRUCTURED-DATA SP MSG
HEADER = re.compile(
    rb"<(?P<pri>\d{1,3})>1 (?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (?P<host>[!-~]{1,255}) "
    rb"(?P<app>[!-~]{1,48}) (?P<process>[!-~]{1,128}) (?P<id>[!-~]{1,32}) - (?P<message>.*)",
    re.DOTALL,
)
FORMAT = SyslogFormat(MessageStyle())


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine nothing else ends what should not."""
    monkeypatch.setattr(syslog_tls, "SECONDS", HANG)


def parts(encoded: bytes) -> dict[str, bytes]:
    found = HEADER.fullmatch(encoded)
    assert found, encoded
    return found.groupdict()


def event_ids(messages: list[str]) -> list[str]:
    """The event ids in messages, in order; each is valid."""
    found = []
    for message in messages:
        document = etree.fromstring(message[message.index("<AuditMessage") :])
        assert schemas.own().validate(document)
        text = document.findtext("EventIdentification/EventOutcomeDescription")
        found.append(re.search(r"event ([0-9a-f-]{36})", text)[1])  # type: ignore[index]
    return found


def numbered(count: int) -> list[Record]:
    return [record(Kind.STORED, number, JWT, studies=(STUDY,)) for number in range(count)]


def test_the_header_is_that_of_rfc_5424() -> None:
    for made in corpus().values():
        for encoded in FORMAT.encode(made):
            found = parts(encoded)
            assert found["time"] == b"2026-11-22T09:30:00.123Z"
            assert (found["host"], found["app"], found["process"]) == (b"pacs.example.org", b"useridentity", b"4711")
            assert found["id"] == b"DICOM+RFC3881"
            assert found["message"].startswith(b"<AuditMessage>")


def test_severity_is_notice_and_for_failures_warning() -> None:
    """PS3.15 A.7: facility 10, severity 5, and 4 may be chosen."""
    assert parts(FORMAT.encode(corpus()["accepted"])[0])["pri"] == b"85"
    assert parts(FORMAT.encode(corpus()["rejected"])[0])["pri"] == b"84"


def test_message_id_and_byte_order_mark_are_switches() -> None:
    """ITI-20 3.20.4.1.2 against PS3.15 A.6 and RFC 5424 6.4."""
    ihe = SyslogFormat(MessageStyle(), "IHE+RFC-3881", bom=True)
    found = parts(ihe.encode(corpus()["accepted"])[0])
    assert found["id"] == b"IHE+RFC-3881"
    assert found["message"].startswith(b"\xef\xbb\xbf<AuditMessage>")


@pytest.mark.parametrize("host", ["ho st", "höst\n", "x" * 300, "\x00"])
def test_no_host_name_breaks_the_header(host: str) -> None:
    made = replace(corpus()["accepted"], acceptor=replace(ACCEPTOR, host=host))
    assert re.fullmatch(b"[!-~]{1,255}", parts(FORMAT.encode(made)[0])["host"])


def large() -> Record:
    instances = tuple(f"1.2.826.0.1.3680043.8.498.{number}" for number in range(1000))
    return record(Kind.STORED, 1, studies=(replace(STUDY, sop_classes=(SopClass("1.2", 1000, instances),)),))


def test_a_message_fits_the_size_it_may_have() -> None:
    (encoded,) = FORMAT.encode(large())
    assert len(encoded) < 4096
    assert b'NumberOfInstances="1000"' in encoded
    query = Operation("C-FIND", "1.2", transfer_syntax="1.2", identifier=bytes(16 * 1024))
    (encoded,) = SyslogFormat(MessageStyle(), max_size=16384).encode(record(Kind.QUERIED, 1, operation=query))
    assert schemas.own().validate(etree.fromstring(parts(encoded)["message"]))


def test_long_names_and_many_roles_leave_a_message_valid() -> None:
    groups = tuple("g" * 1000 + str(number) for number in range(32))
    user = replace(JWT, display_name="<" * 1024, groups=groups)
    made = replace(corpus(user)["accepted"], detail="\x01" * 1024)
    (encoded,) = FORMAT.encode(made)
    assert schemas.own().validate(etree.fromstring(parts(encoded)["message"]))


def test_only_a_datagram_is_cut_off_and_between_characters() -> None:
    """Over TLS what does not fit is sent whole, and stays XML."""
    made = replace(corpus()["stored"], detail="\x01" * 1024, studies=(replace(STUDY, patient_name="\u00f1" * 1024),))
    whole = SyslogFormat(MessageStyle(), max_size=2048).encode(made)[0]
    assert schemas.own().validate(etree.fromstring(parts(whole)["message"]))
    assert len(whole) > 2049
    for size in (2048, 2049):
        (encoded,) = SyslogFormat(MessageStyle(), max_size=size, cut=True).encode(made)
        assert len(encoded) <= size
        encoded.decode("utf-8")


@pytest.fixture(params=["ossl", "gtls"])
def receiver(tmp_path: Path, certificates: Certificates, request: pytest.FixtureRequest) -> Iterator[Rsyslog]:
    """With OpenSSL, which answers close_notify, and with GnuTLS, which does not."""
    with rsyslog(tmp_path / "rsyslog", certificates, request.param) as running:
        yield running


def tls_sink(receiver: Rsyslog, certificates: Certificates, **changes: Any) -> Sink:
    pair = certificates.client
    usual = {"url": receiver.tls_url, "ca": str(certificates.ca), "cert": str(pair.cert), "key": str(pair.key)}
    if receiver.driver == "gtls":
        usual["close"] = "tcp"
    return open_sink({**usual, **changes}, receiver.folder)


def test_a_receiver_with_mutual_tls_gets_every_message_in_order(receiver: Rsyslog, certificates: Certificates) -> None:
    sink, records = tls_sink(receiver, certificates), numbered(300)
    for start in range(0, 300, 100):
        assert sink.send(records[start : start + 100]) == 0
    sink.confirm()
    assert event_ids(receiver.received) == [made.event_id for made in records]


def test_what_was_sent_after_a_confirmation_goes_on_a_new_connection(
    receiver: Rsyslog, certificates: Certificates
) -> None:
    sink, records = tls_sink(receiver, certificates), numbered(3)
    for made in records:
        sink.send([made])
        sink.confirm()
    sink.confirm()
    assert len(receiver.received) == 3


@pytest.mark.threat("F1")
def test_hostile_words_arrive_as_one_message(receiver: Rsyslog, certificates: Certificates) -> None:
    """A new line, a forged header, a frame within the frame, and every character that XML forbids."""
    words = "\n<85>1 2026-11-22T00:00:00Z h a - - - forged\r\n7 <85>1 x\x00\x1b[2J" + "".join(map(chr, range(32)))
    sink = tls_sink(receiver, certificates)
    sink.send([replace(corpus()["accepted"], detail=words)])
    sink.confirm()
    assert len(event_ids(receiver.received)) == 1


def test_a_message_of_the_largest_size_arrives_whole(receiver: Rsyslog, certificates: Certificates) -> None:
    """32,768 octets: what receivers shall take (PS3.15 A.6)."""
    query = Operation("C-FIND", "1.2", transfer_syntax="1.2", identifier=bytes(16 * 1024))
    made = record(Kind.QUERIED, 1, operation=query)
    size = len(FORMAT.encode(made)[0])
    padded = replace(made, detail="x" * (32768 - size - 2))  # and ": "
    sink = tls_sink(receiver, certificates)
    sink.send([padded])
    sink.confirm()
    (message,) = receiver.received
    assert len(message.encode()) == 32768
    assert event_ids([message]) == [made.event_id]


@pytest.mark.threat("F4")
def test_a_receiver_that_demands_a_certificate_gets_nothing_from_those_without(
    receiver: Rsyslog, certificates: Certificates
) -> None:
    pair = certificates.foreign_client
    anonymous = open_sink({"url": receiver.tls_url, "ca": str(certificates.ca)}, receiver.folder)
    stranger = tls_sink(receiver, certificates, cert=str(pair.cert), key=str(pair.key))
    for sink in 10 * [anonymous, stranger]:  # when the refusal is seen depends on who is faster
        with pytest.raises(Undelivered):
            confirmed(sink)
    assert receiver.received == []
    confirmed(tls_sink(receiver, certificates))
    assert len(receiver.received) == 1


def confirmed(sink: Sink) -> None:
    """TLS 1.3 tells only who reads that a client's certificate was refused."""
    sink.send(numbered(1))
    sink.confirm()


@pytest.mark.threat("F3")
def test_a_receiver_that_is_not_trusted_gets_nothing(receiver: Rsyslog, certificates: Certificates) -> None:
    sink = tls_sink(receiver, certificates, ca=str(certificates.foreign_ca))
    with pytest.raises(Undelivered, match="its certificate is not trusted"):
        sink.send(numbered(1))
    assert receiver.received == []


@pytest.mark.threat("F4")
def test_what_a_killed_receiver_had_not_read_is_not_confirmed(receiver: Rsyslog, certificates: Certificates) -> None:
    sink = tls_sink(receiver, certificates)
    sink.send(numbered(1))
    assert receiver.process
    suspend(receiver.process)
    sink.send(numbered(1))
    receiver.kill()
    with pytest.raises(Undelivered):
        sink.confirm()


def test_a_receiver_that_went_away_is_noticed_before_more_is_written(
    receiver: Rsyslog, certificates: Certificates
) -> None:
    sink = tls_sink(receiver, certificates)
    confirmed(sink)
    sink.send(numbered(1))
    receiver.kill()
    with pytest.raises(Undelivered):
        sink.send(numbered(1))


def test_a_receiver_that_hangs_is_given_up_and_not_confirmed(
    receiver: Rsyslog, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = tls_sink(receiver, certificates)
    sink.send(numbered(1))
    assert receiver.process
    suspend(receiver.process)
    monkeypatch.setattr(syslog_tls, "SECONDS", 0.2)
    with pytest.raises(Undelivered, match="timed out"):
        sink.confirm()
    receiver.process.send_signal(signal.SIGCONT)


def test_connections_use_the_suites_of_rfc_9662(certificates: Certificates) -> None:
    """TLS 1.3, or 1.2 with at least TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256; nothing older, and no 0-RTT in Python."""
    sink = open_sink({"url": "syslog+tls://127.0.0.1", "ca": str(certificates.ca)}, Path())
    context: ssl.SSLContext = sink._tls()  # type: ignore[attr-defined]
    suites = {each["name"]: each["protocol"] for each in context.get_ciphers()}
    assert suites["ECDHE-RSA-AES128-GCM-SHA256"] == "TLSv1.2"
    assert "TLS_AES_128_GCM_SHA256" in suites
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_receiver_gets_datagrams(tmp_path: Path, certificates: Certificates) -> None:
    with rsyslog(tmp_path / "rsyslog", certificates) as running:
        until(lambda: takes_datagrams(running.udp_port))
        sink, records = open_sink(running.udp_url, tmp_path), numbered(20)
        sink.send(records)
        sink.confirm()
        until(lambda: len(running.received) == len(records))
        sink.close()
        assert event_ids(running.received) == [made.event_id for made in records]


def test_a_port_where_nobody_listens_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"syslog+udp://127.0.0.1:{taken.getsockname()[1]}"
        with closing(open_sink(url, tmp_path)) as sink:
            sink.send(numbered(1))
            sink.confirm()
        assert parts(taken.recv(65536))["id"] == b"DICOM+RFC3881"
    monkeypatch.setattr(syslog_udp, "REFUSAL_SECONDS", HANG)  # it is told at once, unless the kernel is busy
    with closing(open_sink(url, tmp_path)) as sink:
        sink.send(numbered(1))
        with pytest.raises(Undelivered, match="Connection refused"):
            sink.confirm()
