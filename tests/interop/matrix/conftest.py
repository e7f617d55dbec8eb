"""What the cells of the matrix run with: the hospital, one acceptor over one transport, the image it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from tests.cli.requestor.conftest import Command, Done, _own_configuration, command
from tests.interop.matrix import peers
from tests.interop.matrix.hospital import Hospital, hospital
from tests.interop.matrix.peers import Running
from tests.interop.matrix.table import TRANSPORTS, Identity, cells
from tests.lib.certificates import Certificates
from useridentity.mechanisms import https

__all__ = ["_own_configuration", "command"]

HANG = 120.0  # seconds; a command takes a tenth of one

Run = Callable[..., Done]

KEYS = ("-k", "PatientID=1CT1", "-k", "StudyInstanceUID=1.3.6.1.4.1.5962.1.2.1.20040119072730.12322")
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "echo": (),
    "find": (*KEYS, "--columns", "PatientID,StudyDate"),
    "store": (),
    "move": (*KEYS, "--to", "WS_2"),
    "get": (*KEYS, "--output", "got", "--sop-class", "CTImageStorage"),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each cell of the class's acceptor."""
    if "cell" in metafunc.fixturenames:
        metafunc.parametrize("cell", list(cells(metafunc.cls.acceptor)), ids=str)


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The OpenID provider may be as slow as a busy machine makes it."""
    monkeypatch.setattr(https, "REQUEST_SECONDS", HANG)


@pytest.fixture(scope="module", name="hospital")
def _hospital(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Hospital]:
    with hospital(tmp_path_factory.mktemp("hospital"), certificates) as made:
        yield made


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory, ct_path: Path) -> Path:
    """A CT image without private elements, of which dcmjs-dimse complains one by one."""
    made: Dataset = dcmread(ct_path)
    made.remove_private_tags()
    path = tmp_path_factory.mktemp("image") / "ct.dcm"
    made.save_as(path)
    return path


@pytest.fixture(scope="class", params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="class")
def peer(
    request: pytest.FixtureRequest,
    transport: str,
    hospital: Hospital,
    image: Path,
    certificates: Certificates,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    """The acceptor that the class names, over each transport in turn."""
    folder = tmp_path_factory.mktemp("acceptor")
    tls = None if transport == "TCP" else certificates
    with peers.running(request.cls.acceptor, folder, image, tls, hospital.policy) as started:
        yield started


@pytest.fixture
def run(
    command: Command, peer: Running, hospital: Hospital, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Runs a command as somebody, whose files are where the options look for them; alice is logged in."""
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{hospital.tickets}")

    def run_as(name: str, who: Identity, *options: object) -> Done:
        hospital.provide(who, tmp_path)
        (host, port, *more), files = peer.archive.peer, (image,) if name == "store" else ()
        identity = ("--identity", who.word, *who.options, "--timeout", HANG)
        return command(name, host, port, *files, *more, *ARGUMENTS[name], *identity, *options)

    return run_as
