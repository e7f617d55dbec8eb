"""`useridentity reload`, run as an administrator runs it, on a process that serves twenty associations."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pynetdicom.association import Association

from tests.cli.conftest import HANG, Run
from tests.lib.pki import Ca
from tests.pynetdicom.support import echo, requestor, until
from useridentity.cli.reload import reload
from useridentity.errors import ConfigurationError
from useridentity.tls import client_context

ROOT = Path(__file__).parent.parent.parent
EACH = 10  # associations of either node
NODES = ("CT_1", "MR_1")

POLICY = """\
version = 1

[validator.node]
type = "certificate"
issuer = "ca.pem"
{more}
[[authenticate]]
accept = ["node"]
"""


@dataclass
class Site:
    """An acceptor's process, its files, and the nodes that associate with it."""

    folder: Path
    root: Ca = field(default_factory=Ca.root)
    lines: queue.Queue[str] = field(default_factory=queue.Queue)

    def __post_init__(self) -> None:
        self.nodes = {name: self.root.issue([("CN", name)]) for name in NODES}
        self.pairs = {name: leaf.write(self.folder, name) for name, leaf in self.nodes.items()}
        self.root.issue(server=True).write(self.folder, "server")
        self.put("ca.pem", self.root.pem)
        self.put("ca.crl", self.root.revoke())
        self.policy()

    def put(self, name: str, content: bytes) -> None:
        (self.folder / "beside").write_bytes(content)
        os.replace(self.folder / "beside", self.folder / name)

    def policy(self, more: str = "") -> None:
        self.put("identity.toml", POLICY.format(more=more).encode())

    def serve(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.acceptor", str(self.folder)], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        self.port = int(process.stdout.readline())
        threading.Thread(target=self._read, args=(process,), daemon=True).start()
        return process

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self.lines.put(line)

    def said(self, words: str) -> str:
        """The next line of the log with these words."""
        while words not in (line := self.lines.get(timeout=HANG)):
            pass
        return line

    def associate(self, name: str) -> Association:
        context = client_context(self.folder / "ca.pem", *self.pairs[name])
        return requestor().associate("127.0.0.1", self.port, tls_args=(context, "127.0.0.1"))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "site").mkdir()
    return Site(tmp_path / "site")


@pytest.fixture
def served(site: Site) -> Iterator[tuple[str, dict[str, list[Association]]]]:
    """The number of the acceptor's process, and the associations that run."""
    with site.serve() as process:
        try:
            running = {name: [site.associate(name) for _ in range(EACH)] for name in NODES}
            assert all_echo(running["CT_1"] + running["MR_1"])
            yield str(process.pid), running
            for assoc in running["CT_1"] + running["MR_1"]:
                assoc.release()
        finally:
            process.communicate(timeout=HANG)


def all_echo(associations: list[Association]) -> bool:
    return all(echo(each) == 0 for each in associations)


def test_files_are_read_again_and_associations_dropped_only_when_asked(
    site: Site, served: tuple[str, dict[str, list[Association]]], run: Run
) -> None:
    pid, running = served
    site.put("ca.crl", site.root.revoke(site.nodes["CT_1"]))
    done = run("reload", pid)
    assert (done.returncode, done.stdout) == (0, f"SIGHUP sent to process {pid}; its log says what came of it\n")
    assert site.said("reloaded") == "INFO reloaded; 0 associations dropped\n"
    assert all_echo(running["CT_1"] + running["MR_1"])
    assert run("reload", "--drop", pid).stdout.startswith("SIGUSR1 sent to process")
    assert site.said("reloaded") == f"INFO reloaded; {EACH} associations dropped\n"
    until(lambda: all(each.is_aborted for each in running["CT_1"]))
    assert all_echo(running["MR_1"])
    site.policy('subject = { O = "Radiology" }')
    assert run("reload", "--drop", pid).returncode == 0
    assert site.said("reloaded") == f"INFO reloaded; {EACH} associations dropped\n"
    until(lambda: all(each.is_aborted for each in running["MR_1"]))


def test_files_that_cannot_be_used_change_nothing_and_each_problem_is_logged(
    site: Site, served: tuple[str, dict[str, list[Association]]], run: Run
) -> None:
    pid, running = served
    site.put("ca.crl", b"nonsense")
    site.policy('subjekt = { CN = "MR_1" }\nae_titel = "CN"')
    assert run("reload", "--drop", pid).returncode == 0
    told = [site.said("not reloaded, all stays as it was") for _ in range(3)]
    assert all(word in "".join(told) for word in ("ca.crl", "subjekt", "ae_titel"))
    assert all_echo(running["CT_1"] + running["MR_1"])
    site.policy()
    site.put("ca.crl", site.root.revoke())
    assert run("reload", "--drop", pid).returncode == 0
    assert site.said("reloaded;") == "INFO reloaded; 0 associations dropped\n"


def test_a_process_that_the_signal_would_end_is_not_sent_it(run: Run) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            done = run("reload", str(process.pid))
            assert done.returncode == 1
            assert done.stderr == (
                f"error: process {process.pid} does not reload on signals, which would end it; its program must call "
                "useridentity.pynetdicom.reload_on_signals(server)\n"
            )
            assert process.poll() is None
        finally:
            process.kill()
    ended = run("reload", str(process.pid))
    assert (ended.returncode, ended.stderr) == (1, f"error: there is no process {process.pid}\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else for a while")
def test_another_users_process_is_not_sent_it() -> None:
    listening = ["sh", "-c", "trap : HUP USR1; echo ready; read line"]
    with subprocess.Popen(listening, stdin=subprocess.PIPE, stdout=subprocess.PIPE, user=65534) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.seteuid(65533)
        try:
            with pytest.raises(ConfigurationError, match=f"^process {process.pid} belongs to another user"):
                reload(process.pid)
        finally:
            os.seteuid(0)
            process.communicate(timeout=HANG)


@pytest.mark.parametrize("pid", ["0", "-1", "x", "99999999"])
def test_what_is_no_number_of_a_process_is_a_mistake_of_the_command_line(run: Run, pid: str) -> None:
    assert run("reload", "--", pid).returncode == 2
