"""The table `[audit]` of a policy file: from the file to the receivers."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from tests.audit.builders import record
from tests.audit.forwarding import until
from useridentity import Policy
from useridentity.audit.record import Record
from useridentity.errors import ConfigurationError

POLICY = """\
version = 1
[validator.anybody]
type = "username"
[[authenticate]]
accept = ["anybody"]
[audit]
journal = "audit.db"
"""


def load(folder: Path, text: str) -> Policy:
    (folder / "identity.toml").write_text(POLICY + text)
    return Policy.load(folder / "identity.toml")


def lines(path: Path) -> list[Record]:
    return [Record.from_json(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_what_the_file_names_gets_every_record_while_the_trail_is_open(tmp_path: Path) -> None:
    policy = load(tmp_path, 'forward = ["jsonl:one.jsonl", { url = "jsonl:two.jsonl", name = "two" }]\n')
    trail = policy.audit
    assert trail is not None
    for _ in range(2):
        trail.hold()
        made = record()
        trail.must(made)
        for name in ("one", "two"):
            until(lambda made=made, name=name: made in lines(tmp_path / f"{name}.jsonl"))  # type: ignore[misc]
        assert [each.sink for each in trail.counters] == ["jsonl:one.jsonl", "two"]
        trail.let_go()
        assert [each.queued for each in trail.counters] == [0, 0]
    assert lines(tmp_path / "one.jsonl") == lines(tmp_path / "two.jsonl")


def opened(folder: Path) -> set[str]:
    """The files in `folder` that this process has open."""
    found = set()
    for each in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.add(os.readlink(each))
    return {name for name in found if name.startswith(str(folder))}


def test_a_policy_that_was_loaded_holds_no_journal_open_be_it_good_or_bad(tmp_path: Path) -> None:
    """Nothing is opened before the whole file is good, nor before the first record: a server may fork."""
    trail = load(tmp_path, "").audit
    assert trail is not None
    trail.hold()
    trail.must(record())
    assert opened(tmp_path)
    trail.let_go()
    assert load(tmp_path, "").audit is not None
    assert opened(tmp_path) == set()
    with pytest.raises(ConfigurationError):
        load(tmp_path, "[limit]\n")
    assert opened(tmp_path) == set()


def test_everything_wrong_with_forwarding_is_said_with_the_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(tmp_path, 'forward = ["jsonl:", "syslog+tls://arr"]\n')

    told = "\n".join(raised.value.problems)
    assert "forward[0]: url: 'jsonl:' does not name a file" in told
    assert "forward[1]: ca is missing" in told


@pytest.mark.parametrize("table", ["roles", "purposes"])
def test_a_wrong_code_is_said_with_its_table_and_name(tmp_path: Path, table: str) -> None:
    good, bad = 'cardiology = ["CAR", "99X", "Cardiologist"]', 'radiology = ["RAD"]'
    assert load(tmp_path, f"message = {{ {table} = {{ {good} }} }}\n").audit
    with pytest.raises(ConfigurationError) as raised:
        load(tmp_path, f"message = {{ {table} = {{ {good}, {bad} }} }}\n")
    (problem,) = raised.value.problems
    assert problem.endswith(
        f':8: audit.message: {table}.radiology: should be three strings, ["CODE", "SYSTEM", "meaning"]'
    )
    with pytest.raises(ConfigurationError) as raised:
        load(tmp_path, f'message = {{ {table} = {{ {good}, radiology = ["RAD", "", "Radiologist"] }} }}\n')
    (problem,) = raised.value.problems
    assert problem.endswith(f":8: audit.message.{table}.radiology[1]: is empty, should be a string")
