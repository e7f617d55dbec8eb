"""The JSON Schema of policy files, judged by validators that are not ours: `jsonschema`, and Taplo where it is."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from enum import Enum
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft4Validator, Draft7Validator

from tests.parts import require
from useridentity import plugins
from useridentity.ae_title import title_problems
from useridentity.config import TABLES, schema
from useridentity.config.schema import policy_schema
from useridentity.plugins import BUILT_IN, validator_settings
from useridentity.settings import UNITS, Bytes, Network, Runtime, Seconds, TitlePattern, decode
from useridentity.settings.secret import Secret


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    """What is inside.

    Fields:
        word: one of two.
    """

    word: Literal["one", "two"] = "one"


@dataclass(frozen=True)
class Everything:
    """Something of every kind that settings may hold. More of it is
    on a second line.

    And in a second paragraph.

    Fields:
        text, path: two strings: with a colon
            and a second line.
        secret: one.
        titles: of applications.
        number: a number.
    """

    text: str | None = None
    path: Path | None = None
    secret: Secret | None = None
    titles: tuple[TitlePattern, ...] = ()
    number: int = 3
    pause: Seconds = 90.0
    size: Bytes = 2048
    networks: tuple[Network, ...] = ()
    word: Literal["yes", "no"] = "no"
    colour: Colour = Colour.RED
    words: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tables: tuple[Mapping[str, str], ...] = ()
    inner: Inner | None = None


VALUES: list[Any] = [
    "text", "", "one", "yes", "red", "10s", "1.5h", "10", "10x", "256KiB", "5B", "10.0.0.0/8", "fd00::/8",
    0, 1, -1, 1.5, True, [], ["text"], ["10.0.0.0/8"], [1], [{"a": "b"}], {}, {"a": "b"}, {"a": 1}, {"a": ["b"]},
    {"a": []}, {"word": "two"}, {"word": "three"}, {"wrod": "two"},
]  # fmt: skip


@pytest.mark.parametrize("key", [*Everything.__dataclass_fields__, "misspelt"])
def test_what_is_decoded_fits_the_schema(key: str) -> None:
    """And what does not fit is not decoded: an editor never marks what the loader takes."""
    judge = Draft7Validator(schema.table(Everything))
    decoded = []
    for value in VALUES:
        if decode(Everything, {key: value}, (), lambda _key, _what: None, Path()) is not None:
            decoded.append(value)
            assert judge.is_valid({key: value}), value
    assert decoded or key == "misspelt"
    assert not all(judge.is_valid({key: value}) for value in VALUES)


def test_a_misspelt_word_in_a_table_within_a_table_does_not_fit() -> None:
    judge = Draft7Validator(schema.table(Everything))
    assert judge.is_valid({"inner": {"word": "two"}})
    assert not judge.is_valid({"inner": {"wrod": "two"}})


def test_descriptions_and_defaults_are_those_of_the_code() -> None:
    made = schema.table(Everything)
    assert made["description"] == "Something of every kind that settings may hold. More of it is on a second line."
    assert made["properties"]["text"]["description"] == "two strings: with a colon and a second line."
    assert made["properties"]["path"]["description"] == "two strings: with a colon and a second line."
    assert made["properties"]["inner"]["properties"]["word"]["description"] == "one of two."
    defaults = {key: value["default"] for key, value in made["properties"].items() if "default" in value}
    assert defaults == {"number": 3, "pause": "90s", "size": "2KiB", "word": "no", "colour": "red"}
    assert "required" not in made


def test_a_default_is_decoded_to_itself() -> None:
    made = schema.table(Everything)
    defaults = {key: value["default"] for key, value in made["properties"].items() if "default" in value}
    assert decode(Everything, defaults, (), lambda *problem: pytest.fail(str(problem)), Path()) == Everything()


def test_what_has_no_default_is_required() -> None:
    @dataclass(frozen=True)
    class Needy:
        name: str
        until: date

    made = schema.table(Needy)
    assert made["required"] == ["name", "until"]
    # By this word Tombi takes a TOML date, and Taplo does without one.
    assert made["properties"]["until"] == {"type": "string", "format": "date"}


def test_a_kind_that_settings_cannot_hold_is_no_schema() -> None:
    with pytest.raises(TypeError, match="has no schema"):
        schema.value(set[str])


@pytest.mark.parametrize(("amount", "shown"), [(90.0, "90s"), (0.25, "250ms"), (43200.0, "12h"), (172800.0, "2d")])
def test_a_default_is_shown_in_the_largest_unit_of_which_it_is_a_whole_number(amount: float, shown: str) -> None:
    assert schema._measured(amount, UNITS) == shown


TITLES = st.text('AZ az09_*.[]\\^~!"\x7f\tü', max_size=20)


@given(TITLES)
@example("*" * 20)
@example("A" * 16)
@example("A" * 17)
@example("*A" * 16 + "*")
def test_an_ae_title_fits_the_schema_where_it_could_match_one(title: str) -> None:
    for kind in (Draft4Validator, Draft7Validator):
        assert kind(schema.value(TitlePattern)).is_valid(title) is not any(title_problems([title]))


def test_draft_4_and_draft_7_read_it_alike() -> None:
    """Taplo knows draft 4."""
    for value in VALUES:
        for key in Everything.__dataclass_fields__:
            judged = {
                kind(schema.table(Everything)).is_valid({key: value}) for kind in (Draft4Validator, Draft7Validator)
            }
            assert len(judged) == 1


PUBLISHED = Path(__file__).parents[2] / "docs" / "policy.schema.json"

POLICY = """
version = 1
limits = { associate_deadline = "10s", penalty = { source_free = 3 } }

[validator.staff]
type = "passcode"
store = "file:passcodes.toml"

[validator.badges]
type = "badge"
whatever = ["it", "needs"]

[[authenticate]]
when = { calling_ae_title = ["CT_*"], network = ["10.0.0.0/8"], tls = "mutual" }
accept = ["staff", "staff+badges"]
unproved = { until = 2027-03-31 }

[[authorize]]
who = { groups = ["research"], claims = { npi = ["123"] }, kind = ["person"] }
permit = ["echo", "move", "CTImageStorage", "1.2.3.4"]
destinations = ["WS_*", { ae_title = "WS_1", address = "10.0.0.5/32" }]
scope = { PatientID = "{claims.cohort}", ScheduledProcedureStepSequence.Modality = ["CT"] }
break_glass = { claim = "reason" }
"""


def judged(text: str) -> list[str]:
    """What the published schema has against a policy file; TOML's dates are JSON's strings."""
    content = json.loads(json.dumps(tomllib.loads(text), default=str))
    return [error.message for error in Draft7Validator(json.loads(PUBLISHED.read_text())).iter_errors(content)]


def test_the_published_schema_is_that_of_the_code() -> None:
    """After a change: useridentity policy schema > docs/policy.schema.json."""
    assert json.loads(PUBLISHED.read_text()) == policy_schema()
    assert policy_schema()["properties"].keys() == set(TABLES)


def test_the_published_schema_is_one() -> None:
    for kind in (Draft4Validator, Draft7Validator):
        kind.check_schema(json.loads(PUBLISHED.read_text()))


def test_a_policy_fits() -> None:
    assert judged(POLICY) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("version = 1", "version = 2"),
        ("limits =", "limmits ="),
        ("associate_deadline", "asociate_deadline"),
        ("source_free", "source_fre"),
        ('"10s"', "10"),
        ("store =", "stroe ="),
        ('store = "file:passcodes.toml"', ""),
        ('type = "badge"', ""),
        ("[[authenticate]]", "[[authentikate]]"),
        ("when =", "wenn ="),
        ("calling_ae_title", "caling_ae_title"),
        ('"mutual"', '"mutal"'),
        ("accept =", "accepts ="),
        ("until =", "untill ="),
        ("who =", "hwo ="),
        ("groups =", "group ="),
        ('{ npi = ["123"] }', "{}"),
        ('kind = ["person"]', 'kind = ["persona"]'),
        ('"echo"', '"eco"'),
        ("CTImageStorage", "CTImageStrage"),
        ('"1.2.3.4"', '"1.2.3.x"'),
        ("address =", "adress ="),
        ("PatientID", "PatientId"),
        ("Sequence.Modality", "Sequence.Modalitty"),
        ("claim =", "clame ="),
        ('["WS_*", ', '["", '),
    ],
)
def test_what_is_misspelt_does_not_fit(right: str, wrong: str) -> None:
    assert right in POLICY
    assert judged(POLICY) == []
    assert judged(POLICY.replace(right, wrong, 1))


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_type_has_its_own_keys_and_no_others(name: str) -> None:
    (branch,) = [
        each
        for each in policy_schema()["properties"]["validator"]["additionalProperties"]["oneOf"]
        if each["properties"]["type"].get("enum") == [name]
    ]
    keys = {each.name for each in fields(validator_settings(name))}
    assert branch["properties"].keys() == {"type", *keys}
    assert not branch["additionalProperties"]
    described = {key for key, each in branch["properties"].items() if "description" in each}
    assert described == keys, "a field is missing under Fields: of the settings' docstring"


@dataclass(frozen=True)
class BadgeSettings:
    """What another package's validator may have."""

    badges: Path

    def build(self, runtime: Runtime) -> None:
        raise NotImplementedError


def test_the_types_of_other_packages_can_have_their_keys_too(monkeypatch: pytest.MonkeyPatch) -> None:
    badge = EntryPoint("badge", f"{__name__}:BadgeSettings", plugins.VALIDATORS)
    monkeypatch.setattr(plugins, "entry_points", lambda **_group: EntryPoints([badge]))
    typed = POLICY.replace('whatever = ["it", "needs"]', 'badges = "badges.csv"')
    for schema_of, text, fits in [
        (policy_schema(), POLICY, True),
        (policy_schema([*BUILT_IN, "badge"]), POLICY, False),
        (policy_schema([*BUILT_IN, "badge"]), typed, True),
    ]:
        content = json.loads(json.dumps(tomllib.loads(text), default=str))
        assert Draft7Validator(schema_of).is_valid(content) is fits


@pytest.mark.parametrize(("wrong", "fits"), [("store", True), ("stroe", False)])
def test_an_editor_takes_the_policy_and_marks_what_is_misspelt(tmp_path: Path, wrong: str, fits: bool) -> None:
    """Taplo is what Even Better TOML asks; the directive in the first line names the schema."""
    (tmp_path / "policy.toml").write_text(f"#:schema {PUBLISHED}\n" + POLICY.replace("store", wrong))
    beside = Path(sys.executable).with_name("taplo")
    taplo = beside if beside.exists() else require("taplo")
    done = subprocess.run(
        [taplo, "lint", "policy.toml"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode == 0) is fits, done.stderr
