"""Received instances become files: whole, under their own names, and in the place of none."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from useridentity.cli.requestor.keeping import Folder

HANG = 60.0  # seconds; forty files take well under one


@pytest.mark.threat("R2")
@pytest.mark.parametrize("uid", ["../../evil", "/etc/passwd", "..", "", "1.2/3", "1.2\0", "a" * 300, ".1", "1..2"])
def test_a_uid_that_is_none_names_no_file(tmp_path: Path, uid: str) -> None:
    folder = Folder(tmp_path / "kept")
    assert folder.keep(received("1.2.3")) == 0x0000
    assert folder.keep(received(uid)) == 0x0117
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["1.2.3.dcm"]
    assert len(folder.problems) == 1


@pytest.mark.threat("R2")
def test_a_link_in_the_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"content of 1.2.3")
    folder = Folder(tmp_path / "kept")
    (folder.path / "1.2.3.dcm").symlink_to(outside)
    (folder.path / "1.2.4.dcm").symlink_to(tmp_path / "not there yet")
    assert folder.keep(received("1.2.3")) == 0x0111
    assert folder.keep(received("1.2.4")) == 0x0111
    assert not (tmp_path / "not there yet").exists()
    assert outside.read_bytes() == b"content of 1.2.3"


def received(uid: str) -> Any:
    """What `Folder.keep` asks of an event."""

    class Request:
        AffectedSOPInstanceUID = uid

    class Event:
        request = Request()

        def encoded_dataset(self) -> bytes:
            return f"content of {uid}".encode()

    return Event()


def test_a_disk_that_is_full_is_told_to_the_peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder(tmp_path)

    def full(*_arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    assert folder.keep(received("1.2.3")) == 0
    monkeypatch.setattr("os.link", full)
    assert folder.keep(received("1.2.4")) == 0xA700
    assert "No space left" in folder.problems["1.2.4"]
    assert [path.name for path in tmp_path.iterdir()] == ["1.2.3.dcm"]


def test_files_that_come_at_once_leave_the_umask_as_it_is(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        folder = Folder(tmp_path / "kept")
        threads = [threading.Thread(target=folder.keep, args=(received(f"1.2.{n}"),)) for n in range(40)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(HANG)
        assert {path.stat().st_mode & 0o777 for path in folder.path.iterdir()} == {0o640}
    finally:
        assert os.umask(before) == 0o027


def test_a_fifo_in_the_place_of_a_file_is_left_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "kept")
    assert folder.keep(received("1.2.3")) == 0x0000
    os.mkfifo(folder.path / "1.2.4.dcm")
    assert folder.keep(received("1.2.4")) == 0x0111


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_hard_links_keeps_them_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """And replaces nothing either."""

    def none(*_arguments: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.link", none)
    folder = Folder(tmp_path)
    (tmp_path / "1.2.4.dcm").write_text("precious")
    (tmp_path / "1.2.5.dcm").symlink_to(tmp_path / "not there yet")
    assert [folder.keep(received(uid)) for uid in ("1.2.3", "1.2.3", "1.2.4", "1.2.5")] == [0, 0, 0x0111, 0x0111]
    assert (tmp_path / "1.2.3.dcm").read_bytes() == b"content of 1.2.3"
    assert (tmp_path / "1.2.4.dcm").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.2.3.dcm", "1.2.4.dcm", "1.2.5.dcm"]
