"""The table of docs/cli.md is that of the matrix, and each of its gaps has a reason."""

from pathlib import Path

import pytest

from tests.interop.matrix.table import ACCEPTORS, COMMANDS, documented

DOCUMENT = Path(__file__).parents[3] / "docs" / "cli.md"


def test_the_document_shows_the_matrix() -> None:
    assert documented() in DOCUMENT.read_text(), f"it should hold:\n{documented()}"


@pytest.mark.parametrize("name", ACCEPTORS)
def test_what_is_not_served_has_a_reason_and_what_is_has_none(name: str) -> None:
    acceptor = ACCEPTORS[name]
    assert {each for each in COMMANDS if acceptor.serves(each) != 0} == acceptor.remarks.keys() & set(COMMANDS)
