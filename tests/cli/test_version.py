"""`useridentity --version`."""

from __future__ import annotations

from importlib.metadata import version

from tests.cli.conftest import Run


def test_it_says_which_version_is_installed(run: Run) -> None:
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"useridentity {version('useridentity')}\n", "")
