"""A file of secrets is read, locked and replaced so that nobody but its owner and root has a say."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from useridentity.errors import ConfigurationError
from useridentity.mechanisms import private_file

OUR_NAME = private_file._user(os.geteuid())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A private file that says "old"."""
    path = tmp_path / "it's secret.toml"
    private_file.create(path, "old")
    return path


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o377])
def test_a_new_file_is_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        private_file.create(tmp_path / "new", "text")
    finally:
        os.umask(before)
    assert mode(tmp_path / "new") == 0o600
    assert private_file.read(tmp_path / "new") == "text"


def test_a_file_that_is_there_is_not_made_again(path: Path) -> None:
    private_file.create(path, "new")
    assert private_file.read(path) == "old"
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_file_is_replaced_whole(path: Path) -> None:
    """Who has the old one open keeps all of it, and nothing else stays in the folder."""
    with path.open() as opened_before:
        with private_file.replacing(path) as (text, replace):
            assert text == "old"
            replace("new")
        assert opened_before.read() == "old"
    assert private_file.read(path) == "new"
    assert mode(path) == 0o600
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("bits", [0o644, 0o640, 0o620, 0o602, 0o604, 0o610, 0o666])
@pytest.mark.threat("T23")
def test_a_file_that_others_can_open_is_refused_with_the_chmod_to_run(path: Path, bits: int) -> None:
    """Running what the message says mends it."""
    path.chmod(bits)
    with pytest.raises(ConfigurationError, match=f"mode {bits:04o}") as refused:
        private_file.read(path)
    with pytest.raises(ConfigurationError), private_file.replacing(path):
        pass
    command = refused.value.problems[0].rpartition("): ")[2]
    subprocess.run(command, shell=True, check=True)
    assert private_file.read(path) == "old"


def test_a_file_of_another_user_is_refused_with_the_chown_to_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root gives the file away; anybody else becomes another user as far as the check can see."""
    if os.geteuid() == 0:
        os.chown(path, 54_321, -1)
        us = OUR_NAME
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 54_321)
        us = "54321"
    with pytest.raises(ConfigurationError, match=f"chown {us} '.*secret.toml'"):
        private_file.read(path)


def test_every_fault_of_a_file_is_reported_at_once(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(path, 54_321, -1)
    path.chmod(0o644)
    with pytest.raises(ConfigurationError) as refused:
        private_file.read(path)
    assert len(refused.value.problems) == 2


@pytest.mark.threat("T23")
def test_a_symbolic_link_is_not_followed(path: Path) -> None:
    """Not to read, not to write; the message names where it leads."""
    link = path.with_name("link")
    link.symlink_to(path)
    for use in (private_file.read, lambda link: private_file.replacing(link).__enter__()):
        with pytest.raises(ConfigurationError, match=r"is a symbolic link; name the file itself: .*secret\.toml"):
            use(link)
    private_file.create(link, "new")
    assert link.is_symlink()
    assert private_file.read(path) == "old"


def test_a_dangling_link_makes_no_file_elsewhere(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    private_file.create(link, "new")
    assert not (tmp_path / "elsewhere").exists()


def test_what_is_no_regular_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    """Opening a FIFO would wait for a writer."""
    os.mkfifo(tmp_path / "fifo", 0o600)
    for path in (tmp_path / "fifo", tmp_path):
        with pytest.raises(ConfigurationError, match="is not a regular file"):
            private_file.read(path)


def test_what_the_system_refuses_is_said_with_the_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="missing: No such file or directory"):
        private_file.read(tmp_path / "missing")
    with pytest.raises(ConfigurationError, match="No such file or directory"):
        private_file.create(tmp_path / "no folder" / "file", "")


def test_a_file_of_root_is_not_opened_by_others(path: Path) -> None:
    """A server that dropped root's rights is told which chown gives it the file."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    script = f"""
import os, sys
from pathlib import Path
from useridentity.errors import ConfigurationError
from useridentity.mechanisms import private_file
os.chdir({str(path.parent)!r})
os.setuid(54_321)
try:
    private_file.read(Path({path.name!r}))
except ConfigurationError as error:
    print(error)
"""
    path.parent.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert "cannot be opened by 54321: chown 54321 " in done.stdout


def test_bytes_that_are_no_text_are_refused_without_showing_them(path: Path) -> None:
    path.write_bytes(b"hash = \xff")
    with pytest.raises(ConfigurationError, match="no UTF-8 at byte 7") as refused:
        private_file.read(path)
    assert refused.value.__context__ is None


def test_a_disk_that_is_full_leaves_the_old_file(path: Path) -> None:
    """The system itself refuses the write, in a process that may write no byte."""
    script = f"""
import resource
from pathlib import Path
from useridentity.errors import ConfigurationError
from useridentity.mechanisms import private_file
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    with private_file.replacing(Path({str(path)!r})) as (_, replace):
        replace("new")
except ConfigurationError as error:
    raise SystemExit(str(error))
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert private_file.read(path) == "old"
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_writers_wait_for_each_other_and_lose_nothing(path: Path) -> None:
    """Three processes add a line each, twenty times; each must see what the others wrote."""
    script = f"""
import sys
from pathlib import Path
from useridentity.mechanisms import private_file
for number in range(20):
    with private_file.replacing(Path({str(path)!r})) as (text, replace):
        replace(f"{{text}}\\n{{sys.argv[1]}} {{number}}")
"""
    writers = [subprocess.Popen([sys.executable, "-c", script, name]) for name in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    lines = private_file.read(path).splitlines()
    assert sorted(lines) == sorted(["old", *(f"{name} {number}" for name in "abc" for number in range(20))])
