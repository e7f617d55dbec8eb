"""Connecting to a name with several addresses, and URLs that say where."""

from __future__ import annotations

import errno
import socket
from contextlib import closing
from typing import Any

import pytest

from tests.lib.ports import free_port
from useridentity.network import Deadline, connected, located, shown

HANG = 30.0
NOWHERE = "127.0.0.2"
RESOLVED = socket.getaddrinfo


class Silent(socket.socket):
    """Of whose connections to `NOWHERE` nobody ever hears; `waited` has the seconds that each had."""

    waited: list[float]

    def connect(self, address: object) -> None:
        assert isinstance(address, tuple)
        if address[0] == NOWHERE:
            self.waited.append(self.gettimeout() or 0.0)
            raise TimeoutError
        super().connect(address)


class Switched(socket.socket):
    """Of which there are none for IPv6."""

    def __init__(self, family: int = -1, *others: int, **fileno: Any) -> None:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        super().__init__(family, *others, **fileno)


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    monkeypatch.setattr(Silent, "waited", [], raising=False)
    monkeypatch.setattr(socket, "socket", Silent)
    return Silent.waited


def resolve(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """Every name has these addresses."""
    addresses = [one for host in hosts for one in RESOLVED(host, 0, type=socket.SOCK_STREAM)]

    def found(_: str, port: int, **_kind: object) -> list[object]:
        return [(*what, (address[0], port)) for *what, address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", found)


def test_an_address_that_never_answers_leaves_time_for_the_next(
    monkeypatch: pytest.MonkeyPatch, waited: list[float]
) -> None:
    """As IPv6 does where a name has it and nobody routes it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        resolve(monkeypatch, "127.0.0.1")
        connected("arr", port, Deadline(HANG)).close()
        resolve(monkeypatch, NOWHERE, "127.0.0.1")
        with closing(connected("arr", port, Deadline(HANG))) as to:
            assert to.getpeername()[0] == "127.0.0.1"
    assert 0 < waited[0] <= HANG / 2


def test_the_last_address_has_all_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch, waited: list[float]) -> None:
    resolve(monkeypatch, NOWHERE)
    with pytest.raises(TimeoutError):
        connected("arr", 1, Deadline(HANG))
    assert waited[0] > HANG / 2


def test_an_address_of_a_family_that_is_switched_off_is_left_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """As IPv6 may be on this machine."""
    resolve(monkeypatch, "::1", "127.0.0.1")
    monkeypatch.setattr(socket, "socket", Switched)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connected("arr", listener.getsockname()[1], Deadline(HANG)).close()


def test_nobody_on_any_address_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve(monkeypatch, "127.0.0.1", "::1")
    with pytest.raises(ConnectionRefusedError):
        connected("arr", free_port(), Deadline(HANG))


def test_a_url_that_may_hold_a_secret_is_not_repeated() -> None:
    assert located("https://idp.example.org/jwks?a=b")
    assert shown("https://idp/") == "'https://idp/'"
    for url in ("https://u:hush-4711@idp/", "https://idp/#hush-4711"):
        assert located(url) is None
        assert "hush" not in shown(url)
