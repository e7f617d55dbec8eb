"""Nobody is asked for a passcode before all that can be wrong without it has been looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.requestor.conftest import Command

ASKING = "no passcode: give --passcode-file PATH"
"""What is said in place of a prompt where there is no terminal."""

KEY = ("-k", "StudyInstanceUID=1.2.3")
RECEIVING = ("move", "127.0.0.1", "104", *KEY, "--receive", "11112")

WRONG = {
    "echo, a word too many": (("echo", "127.0.0.1", "104"), ("more",)),
    "store, no files": (("store", "127.0.0.1", "104", "ct.dcm"), ()),
    "find, a value that cannot be sent": (("find", "127.0.0.1", "104"), ("-k", "PixelData=abc")),
    "find, no such column": (("find", "127.0.0.1", "104"), ("--columns", "Nothing")),
    "get, no such SOP class": (("get", "127.0.0.1", "104", *KEY), ("--sop-class", "Nothing")),
    "get, a folder that is none": (("get", "127.0.0.1", "104", *KEY), ("--output", "file")),
    "move, a folder that is none": (RECEIVING, ("--output", "file")),
    "move, no such policy": (RECEIVING, ("--policy", "missing.toml")),
    "move, no certificate": (RECEIVING, ("--receive-tls",)),
    "move, nothing received": (("move", "127.0.0.1", "104", *KEY, "--to", "WS_1"), ("--output", "here")),
    "no such authorities": (("echo", "127.0.0.1", "104"), ("--ca", "missing.pem")),
}


@pytest.mark.parametrize(("right", "wrong"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_first(
    command: Command, ct_path: Path, tmp_path: Path, right: tuple[str, ...], wrong: tuple[str, ...]
) -> None:
    (tmp_path / "ct.dcm").write_bytes(ct_path.read_bytes())
    (tmp_path / "file").touch()
    who = ("--identity", "passcode:alice")
    assert ASKING in command(*right, *who).err
    done = command(*(right if wrong else right[:-1]), *wrong, *who)
    assert done.code in (1, 2)
    assert ASKING not in done.err


def test_who_names_no_file_that_can_be_stored_is_not_asked(command: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    done = command("store", "127.0.0.1", 104, "empty", "missing", "--identity", "passcode:alice")
    assert done.code == 8
    assert "2 of 2 files not stored" in done.err
    assert ASKING not in done.err
