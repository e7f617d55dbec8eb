"""The raw peer against stock pynetdicom and against sockets that misbehave as told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.lib.certificates import Certificates
from tests.lib.pdus import RELEASE_RQ, associate_rq, pdu, user_identity
from tests.lib.rawpeer import HANG, Ending, PduType, RawPeer
from tests.lib.stock import Presented, StockScp
from useridentity.tls import client_context, server_context

SHORT = 0.05  # seconds in which nothing is expected to come


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that listens, and does what the test does with it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(HANG)
        yield server


def port_of(listening: socket.socket) -> int:
    return int(listening.getsockname()[1])


def test_an_association_made_by_hand_is_accepted_and_released(stock_scp: Callable[..., StockScp]) -> None:
    scp = stock_scp()
    with RawPeer(scp.port) as peer:
        peer.send(associate_rq(user_identity(2, b"alice", b"secret")))
        assert peer.read_pdu().type is PduType.ASSOCIATE_AC
        peer.send(RELEASE_RQ)
        assert peer.read_pdu().type is PduType.RELEASE_RP
        assert peer.read_pdu() is Ending.CLOSED
    assert scp.identities == [Presented(2, b"alice", b"secret")]


def test_a_rejection_shows_its_three_octets(stock_scp: Callable[..., StockScp]) -> None:
    scp = stock_scp(lambda event: (False, None))
    with RawPeer(scp.port) as peer:
        peer.send(associate_rq(user_identity(1, b"alice")))
        assert peer.read_pdu().answer == (2, 2, 1)


def test_tls_carries_the_same_octets(stock_scp: Callable[..., StockScp], certificates: Certificates) -> None:
    scp = stock_scp(tls=server_context(*certificates.server))
    with RawPeer(scp.port, tls=client_context(certificates.ca)) as peer:
        peer.send(associate_rq())
        assert peer.read_pdu().type is PduType.ASSOCIATE_AC
        peer.send(RELEASE_RQ)
        assert peer.read_pdu().type is PduType.RELEASE_RP


def test_a_peer_calls_from_the_address_it_is_given(listener: socket.socket) -> None:
    with RawPeer(port_of(listener), source="127.0.0.77"):
        connection, address = listener.accept()
        connection.close()
    assert address[0] == "127.0.0.77"


def test_pdus_are_told_apart_however_they_arrive(listener: socket.socket) -> None:
    with RawPeer(port_of(listener)) as peer, listener.accept()[0] as other:
        stream = pdu(2, b"accepted") + pdu(7, b"") + pdu(6, b"rest")
        for octet in stream[:10]:
            other.sendall(bytes([octet]))
        other.sendall(stream[10:])
        assert [peer.read_pdu() for _ in range(3)] == [
            (PduType.ASSOCIATE_AC, b"accepted"),
            (PduType.ABORT, b""),
            (PduType.RELEASE_RP, b"rest"),
        ]


def test_silence_is_a_timeout_and_loses_nothing(listener: socket.socket) -> None:
    with RawPeer(port_of(listener)) as peer, listener.accept()[0] as other:
        other.sendall(pdu(7, b"abcd")[:8])
        assert peer.read_pdu(within=SHORT) is Ending.TIMEOUT
        other.sendall(b"cd")
        assert peer.read_pdu() == (PduType.ABORT, b"abcd")


def test_a_reset_reads_as_closed(listener: socket.socket) -> None:
    with RawPeer(port_of(listener)) as peer:
        other = listener.accept()[0]
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
        other.close()
        assert peer.read_pdu() is Ending.CLOSED


def test_a_peer_can_vanish_with_a_reset(listener: socket.socket) -> None:
    with RawPeer(port_of(listener)) as peer, listener.accept()[0] as other:
        peer.reset()
        with pytest.raises(ConnectionResetError):
            other.recv(1)


def test_after_a_half_close_the_answer_is_still_read(listener: socket.socket) -> None:
    with RawPeer(port_of(listener)) as peer, listener.accept()[0] as other:
        peer.half_close()
        assert other.recv(1) == b""
        other.sendall(pdu(7, b""))
        assert peer.read_pdu() == (PduType.ABORT, b"")


def test_dribbling_stops_when_the_peer_closes(listener: socket.socket) -> None:
    def read_three_and_close() -> None:
        connection = listener.accept()[0]
        while len(connection.recv(3, socket.MSG_PEEK)) < 3:
            pass
        connection.close()

    reader = threading.Thread(target=read_three_and_close)
    reader.start()
    with RawPeer(port_of(listener)) as peer:
        sent = peer.dribble(bytes(1000), interval=0.01)
    reader.join()
    assert 3 <= sent < 1000
