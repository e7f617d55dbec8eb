"""The examples in each command's help and in docs/cli.md run, and the table of exit codes is the code's."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    ModalityWorklistInformationFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from tests.cli.requestor.conftest import Command
from tests.lib.certificates import Certificates
from tests.lib.ports import free_port
from tests.pynetdicom.support import Acceptor, passcodes, serving
from useridentity import (
    FunctionValidator,
    Identity,
    Policy,
    Rule,
    Username,
    UsernameValidator,
    Verified,
    passcode_check,
)
from useridentity.cli import echo, find, get, move, store
from useridentity.cli.ending import Exit
from useridentity.cli.requestor import profiles as profiles_file
from useridentity.cli.requestor.identity import KINDS
from useridentity.identity import Assurance
from useridentity.tls import server_context
from useridentity.validator import Validator

DOCUMENT = Path(__file__).parents[3] / "docs" / "cli.md"
COMMANDS = (echo, find, get, move, store)


def examples() -> list[str]:
    """Every command line that somebody is shown, once."""
    shown = [line.strip() for each in COMMANDS for line in joined(each.EPILOG).splitlines()[1:]]
    for block in re.findall(r"^```shell\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE):
        shown += block.splitlines()
    return list(dict.fromkeys(shown))


def joined(lines: str) -> str:
    """What a shell makes of lines that end in a backslash."""
    return re.sub(r"\\\n *", "", lines)


@pytest.fixture
def port() -> int:
    """Where the examples receive."""
    return free_port()


def everything(port: int, image: Dataset) -> tuple[list[Any], list[Any]]:
    """Handlers and contexts of an archive that has one CT image, and moves it to `port` as "archive"."""

    def on_find(event: Any) -> Iterator[Any]:
        yield 0xFF00, event.identifier

    def on_get(event: Any) -> Iterator[Any]:
        yield from (1, (0xFF00, image))

    def on_move(event: Any) -> Iterator[Any]:
        own = {"contexts": [build_context(CTImageStorage)], "identity": Username("archive"), "confirmation": "wanted"}
        yield "127.0.0.1", port, own
        yield from on_get(event)

    contexts = [
        build_context(uid)
        for uid in (
            Verification,
            CTImageStorage,
            ModalityWorklistInformationFind,
            StudyRootQueryRetrieveInformationModelFind,
            StudyRootQueryRetrieveInformationModelGet,
            StudyRootQueryRetrieveInformationModelMove,
            PatientRootQueryRetrieveInformationModelGet,
            PatientRootQueryRetrieveInformationModelMove,
        )
    ]
    contexts[1].scu_role = contexts[1].scp_role = True
    return [(evt.EVT_C_FIND, on_find), (evt.EVT_C_GET, on_get), (evt.EVT_C_MOVE, on_move)], contexts


def take_token(presented: Any, facts: Any, context: Any) -> Verified:
    """As if an issuer had been asked."""
    return Verified(Identity("idp:alice", "alice", "idp", Assurance.AUTHENTICATED, identity_type=5))


@pytest.fixture
def acceptors(certificates: Certificates, port: int, ct_dataset: Dataset) -> Iterator[dict[str, Acceptor]]:
    """One that wants no identity, one that does, and one that does over TLS."""
    handlers, contexts = everything(port, ct_dataset)
    accept: list[Validator] = [
        UsernameValidator(),
        passcode_check(passcodes, plaintext="allow"),
        FunctionValidator("idp", 5, take_token, cpu_short=True),
    ]
    guarded = Policy([Rule(accept, weakest="asserted")])
    tls = server_context(*certificates.server, client_ca=certificates.ca, client_certificate="optional")
    more: dict[str, Any] = {"handlers": handlers, "contexts": contexts}
    with (
        serving(Policy.unguarded(), **more) as open_,
        serving(guarded, **more) as plain,
        serving(guarded, tls=tls, **more) as secure,
    ):
        yield {"open": open_, "plain": plain, "secure": secure}


@pytest.fixture
def reader(
    acceptors: dict[str, Acceptor],
    profiles: Callable[[str], Path],
    certificates: Certificates,
    ct_path: Path,
    passcode_file: Path,
    tmp_path: Path,
) -> None:
    """The files that somebody who follows the examples would have."""
    for name in ("ct.dcm", "study/one.dcm", "more/two.dcm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ct_path, tmp_path / name)
    for source, name in ((certificates.ca, "ca.pem"), (certificates.client.cert, "ws1.pem")):
        shutil.copy(source, tmp_path / name)
    shutil.copy(certificates.client.key, tmp_path / "ws1.key")
    (tmp_path / "alice.jwt").write_text("e30.e30.e30")
    (tmp_path / "series.json").write_text('{"SeriesInstanceUID": "1.2.3.4", "StudyInstanceUID": "1.2.3"}')
    (tmp_path / "identity.toml").write_text(
        'version = 1\n[validator.names]\ntype = "username"\n[[authenticate]]\naccept = ["names"]\n'
    )
    profiles(f'[peer.pacs]\nhost = "127.0.0.1"\nport = {acceptors["open"].port}\ncalling = "WS_1"\n')


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("example", examples())
def test_an_example_runs(command: Command, acceptors: dict[str, Acceptor], port: int, example: str) -> None:
    kind = "secure" if " 2762 " in example else "plain" if "--identity" in example else "open"
    here = example.replace("pacs.example.org 104", f"127.0.0.1 {acceptors[kind].port}")
    here = here.replace("pacs.example.org 2762", f"127.0.0.1 {acceptors[kind].port}")
    if "--receive" not in example:  # whoever listens at WS_2 is not shown; the workstation stands in
        here = here.replace("--to WS_2", f"--to WS_2 --receive {port}")
    name, *arguments = shlex.split(here.replace("11112", str(port)))
    assert name == "useridentity"
    done = command(*arguments)
    assert done.code == 0, done.err


@pytest.mark.parametrize("module", COMMANDS, ids=lambda module: module.__name__.rpartition(".")[2])
def test_help_shows_the_examples_and_every_kind_of_identity(
    command: Command, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    done = command(module.__name__.rpartition(".")[2], "--help")
    assert done.code == 0
    shown = " ".join(done.out.split())
    for line in joined(module.EPILOG).splitlines():
        assert " ".join(line.split()) in shown.replace(" \\ ", " ")
    for words in KINDS.values():
        assert words in shown


def test_documented_exit_codes_are_the_codes() -> None:
    table = re.findall(r"^\| (\d+) \| ([a-z-]*) ?\|", DOCUMENT.read_text(), re.MULTILINE)
    documented = {int(code): word for code, word in table if word}
    assert documented == {each.value: each.word for each in Exit}


def test_the_documented_profiles_file_is_one(tmp_path: Path) -> None:
    (snippet,) = re.findall(r"^```toml\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    path = tmp_path / "profiles.toml"
    path.write_text(snippet)
    path.chmod(0o600)
    found = profiles_file.load(path)
    assert found.peer_named("pacs").receive == 11112
    assert found.oidc_named("hospital").client_secret_file == tmp_path / "client.secret"
