"""A TOML file: its lines, and what is refused because nobody could read it in good time."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from useridentity.errors import ConfigurationError
from useridentity.settings.toml_file import MAX_DEPTH, MAX_SIZE, TomlFile

HANG = 10.0  # seconds; ten times what anything here takes


def problem(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        TomlFile(Path("x.toml"), text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [
        ("a = [[[1]]]", "a = " + "[" * 5000 + "]" * 5000, "x.toml: tables and lists are more than 32 deep"),
        ("a = {b={b=1}}", "a = " + "{b=" * 5000 + "1" + "}" * 5000, "x.toml: tables and lists are more than 32 deep"),
        ("\na.b.c = 1", "\n" + ".".join("a" * 500_000) + " = 1", "x.toml:2: tables and lists are more than 32 deep"),
        ("\n[a.b.c]\nd = 1", "\n[" + " . ".join("a" * 5000) + "]\nd = 1", "x.toml:2: tables and lists are more than"),
        (
            'a = """.\n"""\n"b.b".\'c\' = 1',
            'a = """.\n"""\n' + '"b.b".' * 40 + "c = 1",
            "x.toml:3: tables and lists are",
        ),
        (
            f"a = '{'b.' * 99}' # {'b.' * 99}",
            f"a = {{ {'b.' * 99}c = 1 }}",
            "x.toml:1: tables and lists are more than 32",
        ),
        ("a" + ".a" * (MAX_DEPTH - 1) + " = 1", "a" + ".a" * MAX_DEPTH + " = 1", "more than 32 deep"),
        ("a = [1,\n2]", "a = [1,\n" + "9" * 5000 + "]", "x.toml:2: a whole number needs more than the 64 bits"),
        (f"a = {2**63 - 1}", f"a = {2**63}", "x.toml:1: a: a whole number needs more than the 64 bits"),
        (f"a = -{2**63}", "a = 0x" + "f" * 5000, "x.toml:1: a: a whole number needs more than the 64 bits"),
        ("a = 1\nb = 2", "a = 1\na = 2", "x.toml:2: not TOML: Cannot overwrite a value"),
        ("a = 1\nb = [1]", "a = 1\nb = [\n", "x.toml:3: not TOML: Invalid value"),
    ],
)
def test_what_nobody_could_read_is_told_with_its_line(good: str, bad: str, expected: str) -> None:
    assert TomlFile(Path("x.toml"), good).content
    assert expected in problem(bad)


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text("a = 1\n")
    (tmp_path / "link.toml").symlink_to("good.toml")
    assert TomlFile(tmp_path / "link.toml").content == {"a": 1}
    os.mkfifo(tmp_path / "fifo.toml")
    told: list[str] = []

    def read() -> None:
        for path in (tmp_path / "fifo.toml", Path("/dev/zero"), tmp_path):
            with pytest.raises(ConfigurationError) as caught:
                TomlFile(path)
            told.append(str(caught.value))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(HANG)
    assert [each.endswith(": is no regular file") for each in told] == [True] * 3


def test_a_file_of_any_size_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("a = 1".ljust(MAX_SIZE))
    assert TomlFile(path).content == {"a": 1}
    path.write_text("a = 1".ljust(MAX_SIZE + 1))
    with pytest.raises(ConfigurationError, match=r"x\.toml: cannot be read: has more than 4194304 bytes"):
        TomlFile(path)


def test_lines_are_found_in_one_pass() -> None:
    """A list of many lines took a time that grew with their square: minutes for this one."""
    lines = 100_000
    file = TomlFile(Path("x"), "a = [\n" + '  "x",\n' * lines + "]\nb = 1\n")
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(file.line(("b",))), daemon=True)
    thread.start()
    thread.join(HANG)
    assert found == [lines + 3]


@pytest.mark.parametrize(
    "value",
    [
        '"""\n[a]\n\\"""[\n"""',
        '"""x\n""\n"""""',
        '"""[\n"\n""" # " [ {',
        "'''\n[a]\n'''''",
        "'''x\n''{\\'''",
        '"# [ \\" {"',
        "'# \" ['",
        "[\"]\", # ]\n '[',\n [1, 2],\n]",
        '{ a = "}", b = [\n"[",\n] }',
    ],
)
def test_brackets_quotes_and_comments_within_values_end_no_statement(value: str) -> None:
    lines = value.count("\n")
    file = TomlFile(Path("x"), f"v = {value} # [ '\nw = 1\r\n\n[t]  # {{\nx = 1")
    assert [file.line(key) for key in (("v",), ("w",), ("t",), ("t", "x"))] == [1, 2 + lines, 4 + lines, 5 + lines]


def test_every_key_has_its_line_however_it_is_written() -> None:
    text = (
        "# a comment\n"
        "a.b = 1\n"
        'text = """\n'
        "[not.a.table]\n"
        '"""\n'
        "list = [\n"
        "  1, # one\n"
        "]\n"
        '[t."x.y"]\n'
        "k = { inner = 1 }\n"
        "[[r]]\n"
        "[r.sub]\n"
        "z = 1\n"
        "[[r]]\n"
        "z = 2\n"
        "[[r.deep]]\n"
        "q = 1\n"
    )
    file = TomlFile(Path("x.toml"), text)
    expected = {
        ("a", "b"): 2,
        ("text",): 3,
        ("list",): 6,
        ("t", "x.y"): 9,
        ("t", "x.y", "k", "inner"): 10,
        ("r", 0): 11,
        ("r", 0, "sub", "z"): 13,
        ("r", 1, "z"): 15,
        ("r", 1, "deep", 0, "q"): 17,
        ("r", 1, "missing"): 14,
        ("t",): 9,
        ("nowhere",): 1,
    }
    assert {key: file.line(key) for key in expected} == expected
