"""Acceptors for the adapter's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.pynetdicom.support import Acceptor, serving, until, upper_layers


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
