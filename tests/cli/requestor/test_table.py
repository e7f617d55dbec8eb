"""Tables for people: a screenful first, the rest as it comes, and columns that stay under their heads."""

from __future__ import annotations

import pytest

from useridentity.cli.requestor.table import Table


@pytest.fixture(autouse=True)
def _screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LINES", "4")


def test_rows_are_shown_once_there_is_a_screenful_and_then_as_they_come(capsys: pytest.CaptureFixture[str]) -> None:
    begun: list[str] = []
    table = Table(["PatientID", "Sex"], lambda: begun.append("begun"))
    table.add(["1", "F"])
    table.add(["2", "M"])
    assert (capsys.readouterr().out, begun) == ("", [])
    table.add(["3", "O"])
    assert capsys.readouterr().out.splitlines() == ["PatientID  Sex", "1          F", "2          M", "3          O"]
    table.add(["4", ""])
    assert (capsys.readouterr().out, begun) == ("4\n", ["begun"])
    table.show()
    assert capsys.readouterr().out == ""


def test_few_rows_are_shown_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(["PatientID"], lambda: None)
    table.show()
    table.add(["1"])
    assert capsys.readouterr().out == ""
    table.show()
    assert capsys.readouterr().out == "PatientID\n1\n"


def test_names_in_wide_characters_keep_their_columns(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(["PatientName", "Sex"], lambda: None)
    table.add(["山田^太郎", "M"])
    table.add(["Smith^John", "M"])
    table.show()
    assert capsys.readouterr().out.splitlines()[1:] == ["山田^太郎    M", "Smith^John   M"]


def test_rows_too_wide_for_the_terminal_are_blocks(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(["PatientID", "StudyInstanceUID"], lambda: None)
    for number in range(4):
        table.add([str(number), "1.2." + "3" * 30])
    table.show()
    shown = capsys.readouterr().out
    assert shown.count("\n\n") == 4
    assert shown.startswith(f"PatientID         0\nStudyInstanceUID  1.2.{'3' * 30}\n\n")
