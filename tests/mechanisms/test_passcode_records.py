"""The text of a passcode file: read back as written, and every fault in it named with its line and key."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from useridentity.errors import ConfigurationError
from useridentity.mechanisms.passcode import User
from useridentity.mechanisms.passcode_records import Record, parse, render

FILE = Path("passcodes.toml")
HASH = "$argon2id$v=19$m=19456,t=2,p=1$nMIHwe8vRpvII/uO7QkBxg$jYQm7Am/3FHzEa70S8mG1bdQ+siYZHLd+KrKhSwwDtY"

GOOD = f"""
version = 1
[user.alice]
hash = "{HASH}"
display_name = "Alice Archer"
groups = ["radiology", "admins"]
"""

SPOILED = [
    ("version = 1", "version = 2", "2: version: must be 1"),
    ("version = 1", 'version = "1"', "2: version: must be 1"),
    ("version = 1", "", "version: must be 1"),
    ("version = 1", "version = 1\nsalt = 1", "3: salt: unknown key"),
    ("[user.alice]", "[users.alice]", 'users: unknown key; did you mean "user"?'),
    ("[user.alice]", "[[user]]", "user: must hold tables"),
    ("[user.alice]", '[user."ali ce"]', "3: user.ali ce: 'ali ce' is not a username: spaces at character 3"),
    ("[user.alice]", '[user."\uff21lice"]', "must be written 'Alice'"),
    (f'hash = "{HASH}"', "", "3: user.alice.hash: must be an Argon2id hash"),
    (HASH, "hunter2", "4: user.alice.hash: must be an Argon2id hash"),
    (HASH, HASH.replace("argon2id", "argon2i"), "4: user.alice.hash"),
    (HASH, HASH.replace("v=19", "v=16"), "4: user.alice.hash"),
    (HASH, HASH.replace("p=1", "p=0"), "4: user.alice.hash"),
    (HASH, HASH[:-1], "4: user.alice.hash"),
    ("display_name", "displayname", '5: user.alice.displayname: unknown key; did you mean "display_name"?'),
    ("display_name", "passcode", "5: user.alice.passcode: unknown key (known: display_name, groups, hash)"),
    ('"Alice Archer"', '"Alice\\u001b[2J"', "5: user.alice.display_name: must be a string without control"),
    ('"Alice Archer"', "4711", "5: user.alice.display_name"),
    ('["radiology", "admins"]', '"radiology"', "6: user.alice.groups: must be a list"),
    ('["radiology", "admins"]', '["radiology", ""]', "6: user.alice.groups"),
    ('["radiology", "admins"]', '["radiology", 1]', "6: user.alice.groups"),
]


def test_a_file_is_read_as_its_description_says() -> None:
    user = User("alice", "Alice Archer", frozenset({"radiology", "admins"}))
    assert parse(FILE, GOOD) == {"alice": Record(user, HASH)}


def test_a_file_without_users_is_one() -> None:
    assert parse(FILE, render({})) == {}


@pytest.mark.parametrize(("good", "bad", "problem"), SPOILED)
def test_a_fault_is_named_with_its_line_and_key_and_without_its_value(good: str, bad: str, problem: str) -> None:
    assert good in GOOD
    parse(FILE, GOOD)
    with pytest.raises(ConfigurationError) as refused:
        parse(FILE, GOOD.replace(good, bad))
    assert problem in str(refused.value)
    assert str(refused.value).startswith("passcodes.toml:")
    assert "hunter2" not in str(refused.value)


def test_all_faults_are_named_at_once() -> None:
    spoiled = GOOD.replace("version = 1", "version = 2").replace(HASH, "x").replace("groups", "group")
    with pytest.raises(ConfigurationError) as refused:
        parse(FILE, spoiled)
    assert len(refused.value.problems) == 3


def test_a_user_that_is_no_table_is_a_fault() -> None:
    with pytest.raises(ConfigurationError, match=r"passcodes\.toml:3: user\.alice: must be a table"):
        parse(FILE, f'version = 1\n[user]\nalice = "{HASH}"')


def test_what_is_not_toml_is_named_with_its_line() -> None:
    with pytest.raises(ConfigurationError, match=r"passcodes\.toml:3: not TOML") as refused:
        parse(FILE, GOOD.replace("[user.alice]", "[user.alice"))
    assert HASH not in str(refused.value)


printable = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "))
users = st.builds(User, st.just("alice"), printable, st.frozensets(printable.filter(bool)))


@settings(deadline=None, derandomize=True)
@given(users)
def test_whatever_a_user_is_called_is_read_back_as_written(user: User) -> None:
    records = {"alice": Record(user, HASH)}
    assert parse(FILE, render(records)) == records


@pytest.mark.parametrize("name", ["alice", "dom\\alice", 'al"ice', "a.b", "#", "[x]", "a=b", "\u5c71\u7530"])
def test_any_username_can_be_a_key(name: str) -> None:
    records = {name: Record(User(name), HASH), "zoe": Record(User("zoe"), HASH)}
    assert parse(FILE, render(records)) == records


def test_a_record_shows_no_hash() -> None:
    assert "argon2" not in repr(Record(User("alice"), HASH))
