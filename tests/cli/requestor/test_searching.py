"""Which files words of the command line name: each once, and none left out without a word."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.requestor.conftest import Command
from tests.pynetdicom.support import Acceptor, serving
from useridentity import Policy
from useridentity.cli.requestor.searching import Problem, found


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three files in two folders, one of them hidden."""
    for name in ("study/a.dcm", "study/series/b.dcm", "study/.hidden/c.dcm"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*words: str) -> list[str]:
    return [str(each) for each in found(words)]


ALL = ["study/.hidden/c.dcm", "study/a.dcm", "study/series/b.dcm"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("study",), ALL),
        (("study/",), ALL),
        (("study", "study/a.dcm", "./study", "study/../study/a.dcm"), ALL),
        (("study/*.dcm",), ["study/a.dcm"]),
        (("study/*",), ["study/a.dcm", "study/series/b.dcm"]),
        (("study/.*",), ["study/.hidden/c.dcm"]),
        (("**/*.dcm",), ["study/a.dcm", "study/series/b.dcm"]),
        (("**/b.dcm", "**/series", "**/series/*"), ["study/series/b.dcm"]),
        (("study/**",), ALL),
        (("*/series/?.dcm",), ["study/series/b.dcm"]),
        (("study/[ab].dcm", "study"), ["study/a.dcm", "study/.hidden/c.dcm", "study/series/b.dcm"]),
    ],
)
def test_each_file_is_named_once(words: tuple[str, ...], expected: list[str]) -> None:
    assert names(*words) == expected


def test_an_absolute_name_is_the_same_file(files: Path) -> None:
    assert names("study/a.dcm", str(files / "study" / "*.dcm")) == ["study/a.dcm"]


def test_links_lead_to_files_that_are_named_once(files: Path) -> None:
    (files / "other").mkdir()
    (files / "other" / "d.dcm").touch()
    (files / "study" / "elsewhere").symlink_to(files / "other")
    (files / "study" / "z.dcm").symlink_to(files / "study" / "a.dcm")
    os.link(files / "study" / "a.dcm", files / "study" / "y.dcm")
    assert names("study", "other") == [ALL[0], ALL[1], "study/elsewhere/d.dcm", ALL[2]]


@pytest.mark.parametrize("word", ["study", "**/*.dcm", "study/**/*.dcm", "study/**/**/*.dcm"])
def test_loops_of_links_have_an_end(files: Path, word: str) -> None:
    """Of two loops every folder of forty would have two ways to go on: more than anybody has time for."""
    before = set(names(word))
    (files / "study" / "loop").symlink_to(files / "study")
    (files / "study" / "series" / "loop").symlink_to(files / "study")
    assert len(names(word)) == len(before)


def test_a_name_with_the_characters_of_a_glob_is_itself(files: Path) -> None:
    (files / "a[1].dcm").touch()
    (files / "a1.dcm").touch()
    assert names("a[1].dcm") == ["a[1].dcm"]


@pytest.mark.parametrize("word", ["nothing/*.dcm", "study/*.jpg", "study/a.dcm/*", "*/a.dcm/*", "**/nothing"])
def test_a_glob_that_matches_nothing_is_told(word: str) -> None:
    (problem,) = found([word])
    assert problem == Problem(Path(word), "matches no file")


def test_a_link_to_nothing_is_found_to_be_told(files: Path) -> None:
    (files / "study" / "gone.dcm").symlink_to("nowhere")
    assert "study/gone.dcm" in names("study")


def test_files_and_folders_that_cannot_be_read_are_told_and_the_rest_sent(
    script: str, ct_path: Path, tmp_path: Path
) -> None:
    """By a process that may not read everything, as root may."""
    (tmp_path / "study" / "a.dcm").write_bytes(ct_path.read_bytes())
    for name in (".hidden/c.dcm", "series/b.dcm"):
        (tmp_path / "study" / name).unlink()
    (tmp_path / "study" / "closed.dcm").write_bytes(ct_path.read_bytes())
    dropped = "-dac_override,-dac_read_search"
    less = ["setpriv", "--bounding-set", dropped, "--inh-caps", dropped] if os.geteuid() == 0 else []
    with serving(Policy.unguarded()) as scp:
        arguments = [*less, script, "store", "127.0.0.1", str(scp.port), "study"]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        (tmp_path / "study" / "closed.dcm").chmod(0)
        (tmp_path / "study" / "series").chmod(0)
        try:
            done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
        finally:
            (tmp_path / "study" / "series").chmod(0o700)
    assert done.returncode == 9
    assert "warning: study/closed.dcm: cannot be read: Permission denied" in done.stderr
    assert "warning: study/series: cannot be searched: Permission denied" in done.stderr
    assert "error: 2 of 3 files not stored" in done.stderr


def test_a_folder_without_files_is_said(command: Command, acceptor: Acceptor, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = command("store", "127.0.0.1", acceptor.port, "empty")
    assert (done.code, done.out, done.err) == (0, "", "no files there\n")


def test_many_files_with_the_same_reason_take_a_few_lines(command: Command, acceptor: Acceptor, tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / "study" / f"{number}.txt").touch()
    done = command("store", "127.0.0.1", acceptor.port, "study/*.txt", "--json")
    assert len(done.err.splitlines()) < 12
    assert "and 95 more: is no DICOM file" in done.err
    assert len(done.json["failures"]) == 100
