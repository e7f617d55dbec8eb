"""Claims made for paths, as an explanation and the search for rules that are never reached suppose them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pytest

from useridentity.claim_path import ClaimPath, planted
from useridentity.errors import ConfigurationError


@pytest.mark.parametrize(
    ("values", "claims"),
    [
        ({"npi": "1"}, {"npi": "1"}),
        ({"npi": ("1", "2")}, {"npi": ["1", "2"]}),
        ({"roles[]": "a"}, {"roles": ["a"]}),
        ({"a.b": "1", "a.c": "2"}, {"a": {"b": "1", "c": "2"}}),
        ({"role[].code": "1", "role[].system": "2"}, {"role": [{"code": "1"}, {"system": "2"}]}),
    ],
)
def test_each_path_finds_what_was_planted(
    values: Mapping[str, str | Collection[str]], claims: Mapping[str, object]
) -> None:
    made = planted(values)
    assert made == claims
    for path, value in values.items():
        assert ClaimPath.read(path).strings(made) == frozenset([value] if isinstance(value, str) else value)


@pytest.mark.parametrize("further", ["a.b", "a[].b"])
def test_what_is_a_value_holds_no_others_in_either_order(further: str) -> None:
    assert planted({"a": "1"})
    assert planted({further: "1"})
    for paths in (("a", further), (further, "a")):
        with pytest.raises(ConfigurationError, match="a cannot be both a value and hold others"):
            planted(dict.fromkeys(paths, "1"))
