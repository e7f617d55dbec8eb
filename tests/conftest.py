"""What every test may use, and the check that none leaves a thread behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pynetdicom.transport import AssociationSocket

from tests.lib.certificates import Certificates, make_certificates
from tests.lib.stock import StockScp, shut, stock_scp
from tests.lib.threads import left_behind
from tests.parts import require

THREADS_END = 10.0  # seconds; pynetdicom's threads end within one once their association has


def pytest_configure() -> None:
    """Let signals work, which background jobs and nohup ignore, and programs that tests start with them; see `shut`."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, lambda *_: None)
    AssociationSocket._shutdown_socket = shut  # type: ignore[method-assign, assignment]


@pytest.fixture(autouse=True)
def _no_leaked_threads() -> Iterator[None]:
    """A thread that a test started, and that would hold up exit or belongs to an association, ends with the test."""
    before = threading.enumerate()
    yield
    leaked = left_behind(before, THREADS_END)
    assert not leaked, f"threads left behind: {', '.join(leaked)}"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A certificate authority with a server and a client, and a foreign one."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def ct_path() -> Path:
    """The file of a real CT image (pydicom's own, part of its wheel)."""
    found = get_testdata_file("CT_small.dcm", download=False)
    assert isinstance(found, str), "pydicom was installed without its test data"
    return Path(found)


@pytest.fixture(scope="session")
def shared_hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A `Hospital` with its Kerberos realms, once; imported here, since not everybody has the library."""
    require("gssapi")
    from tests.mechanisms.kerberos.hospital import hospital

    with hospital(tmp_path_factory.mktemp("kerberos")) as made:
        yield made


@pytest.fixture
def ct_dataset(ct_path: Path) -> Dataset:
    """A real CT image, read afresh for each test."""
    return dcmread(ct_path)


@pytest.fixture(name="stock_scp")
def _stock_scp() -> Iterator[Callable[..., StockScp]]:
    """Starts stock pynetdicom acceptors, with the arguments of `tests.lib.stock.stock_scp`, until the test ends."""
    with ExitStack() as running:
        yield lambda *args, **kwargs: running.enter_context(stock_scp(*args, **kwargs))
