"""Mechanisms by name, built in and from other packages."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from tests.lib.policies import load, problems
from useridentity import plugins
from useridentity.errors import ConfigurationError
from useridentity.mechanisms.username import UsernameSettings

EXAMPLE = Path(__file__).parent.parent / "examples" / "staff_badge"

BADGES = """\
version = 1

[validator.door]
type = "badge"
badges = "badges.csv"

[[authenticate]]
accept = ["door"]
"""

ASK = """
from datetime import UTC, datetime
from ipaddress import ip_address
from useridentity import Credential, Facts, Policy, Tls
from useridentity.checks import Driver
driver = Driver(Policy.load("identity.toml"))
facts = Facts("WS", "ARCHIVE", ip_address("127.0.0.1"), 104, Tls.NONE, 2, datetime.now(UTC))
for pin in (b"1234", b"4321"):
    decision = driver.decide(facts, Credential(2, b"77", pin))
    print(type(decision).__name__, getattr(decision, "detail", ""))
"""


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, plugins.VALIDATORS)


def test_a_package_adds_a_mechanism_by_entry_point(tmp_path: Path) -> None:
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*install, "--target", str(site), str(EXAMPLE)], check=True, timeout=120)
    (tmp_path / "badges.csv").write_text("77,1234,alice\n")
    (tmp_path / "identity.toml").write_text(BADGES)
    asked = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=tmp_path,
        env={"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert asked.stdout.splitlines() == ["Accepted ", "Rejected unknown badge or wrong PIN"]


def test_the_example_is_as_short_as_the_documentation_says() -> None:
    assert len((EXAMPLE / "staff_badge.py").read_text().splitlines()) <= 40


def test_an_unknown_type_names_the_nearest_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = EntryPoints([entry("badge", "staff_badge:BadgeSettings")])
    monkeypatch.setattr(plugins, "entry_points", lambda **_group: installed)
    assert plugins.validator_settings("username") is UsernameSettings
    with pytest.raises(ConfigurationError, match=r'did you mean "badge"\? \(known: badge, certificate, jwt'):
        plugins.validator_settings("bagde")


@pytest.mark.parametrize("name", ["username", "badge"])
def test_a_name_that_is_offered_twice_is_an_error(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    once = EntryPoints([entry("badge", "useridentity.mechanisms.username:UsernameSettings")])
    monkeypatch.setattr(plugins, "entry_points", lambda **_group: once)
    assert plugins.validator_settings("badge") is UsernameSettings
    assert plugins.validator_settings("username") is UsernameSettings
    twice = EntryPoints([*once, entry(name, "evil:Settings")])
    monkeypatch.setattr(plugins, "entry_points", lambda **_group: twice)
    with pytest.raises(ConfigurationError, match="offered more than once"):
        plugins.validator_settings(name)


def test_a_missing_library_is_a_configuration_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = EntryPoints([entry("odd", "no_such_library:Settings")])
    monkeypatch.setattr(plugins, "entry_points", lambda **_group: lacking)
    with pytest.raises(ConfigurationError, match="no_such_library"):
        plugins.validator_settings("odd")


@pytest.fixture
def badges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the example's mechanism, which an installed package offers; with it the policy is good."""
    monkeypatch.syspath_prepend(EXAMPLE)
    offered = EntryPoints([entry("badge", "staff_badge:BadgeSettings")])
    monkeypatch.setattr(plugins, "entry_points", lambda **_group: offered)
    file = tmp_path / "badges.csv"
    file.write_text("77,1234,alice\n")
    load(tmp_path, BADGES)
    return file


@pytest.mark.usefixtures("badges")
@pytest.mark.parametrize(
    ("escape", "expected"),
    [
        (r"\u0000", "has the control character U+0000 as its character 7; take it out"),
        (r"\n", "has the control character U+000A as its character 7; take it out"),
        (r"\u007F", "has the control character U+007F as its character 7; take it out"),
        (r"\u0085", "has the control character U+0085 as its character 7; take it out"),
    ],
)
@pytest.mark.threat("T12")
def test_a_control_character_in_a_path_is_refused(tmp_path: Path, escape: str, expected: str) -> None:
    text = BADGES.replace("badges.csv", f"badges{escape}.csv")
    assert problems(tmp_path, text) == [f"identity.toml:5: validator.door.badges: {expected}"]


def test_a_file_that_a_plugin_cannot_read_is_a_problem_of_its_validator(tmp_path: Path, badges: Path) -> None:
    badges.unlink()
    assert problems(tmp_path, BADGES) == ["identity.toml:3: validator.door: badges.csv: No such file or directory"]


@pytest.mark.usefixtures("badges")
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(5, "Input/output error"), "Input/output error"),
        (OSError("pin 1234"), f"cannot be used: OSError at {__file__}:"),
        (ValueError("pin 1234"), f"cannot be used: ValueError at {__file__}:"),
        (KeyError("pin 1234"), f"cannot be used: KeyError at {__file__}:"),
    ],
)
def test_whatever_a_plugin_raises_is_a_problem_of_its_validator_without_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, expected: str
) -> None:
    def build(*_: object) -> None:
        raise error

    monkeypatch.setattr(plugins.validator_settings("badge"), "build", build)
    (found,) = problems(tmp_path, BADGES)
    assert found.startswith(f"identity.toml:3: validator.door: {expected}")
    assert "1234" not in found


@pytest.mark.usefixtures("badges")
def test_what_is_wrong_with_a_plugin_hides_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins.validator_settings("badge"), "__init__", lambda *_, **__: dict[str, int]()["x"])
    found = problems(tmp_path, BADGES.replace("version = 1", "version = 3"))
    assert [each.partition(" at ")[0] for each in found] == [
        "identity.toml:1: version: 3 should be 1",
        "identity.toml:3: validator.door: cannot be used: KeyError",
    ]
