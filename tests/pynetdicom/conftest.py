"""Acceptors for the adapter's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from tests.lib.rawpeer import RawPeer
from tests.pynetdicom.support import Acceptor, serving, until, upper_layers
from useridentity.pynetdicom import AE


@pytest.fixture(autouse=True)
def _no_upper_layer_left() -> Iterator[None]:
    """Our upper layer's threads are daemons, which the general check leaves alone."""
    yield
    until(lambda: not upper_layers())


@pytest.fixture
def accept() -> Iterator[Callable[..., Acceptor]]:
    """Starts guarded acceptors, with the arguments of `serving`, until the test ends."""
    with ExitStack() as running:
        yield lambda *args, **kwargs: running.enter_context(serving(*args, **kwargs))


@pytest.fixture
def crowd() -> Iterator[Callable[[Acceptor, str], RawPeer]]:
    """Connects peers that stay until the test ends."""
    with ExitStack() as connected:
        yield lambda acceptor, source: connected.enter_context(RawPeer(acceptor.port, source=source))


@pytest.fixture
def ae() -> Iterator[AE]:
    """An AE that supports Verification; shut down when the test ends."""
    ae = AE("ARCHIVE")
    ae.add_supported_context(Verification)
    yield ae
    ae.shutdown()
    until(lambda: not ae.active_associations)
