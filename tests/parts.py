"""Real programs and libraries that tests need beside the package: present, or named as missing."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

NODE_FOLDER = Path(__file__).parent / "interop" / "node"
NODE_PACKAGES = NODE_FOLDER / "node_modules"

# Daemons live in sbin, which Debian leaves out of an ordinary user's PATH.
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def require(name: str) -> str:
    """The path of a program, a top-level Python module or an installed node package.

    Where it is missing the test fails in CI and is skipped, naming it, elsewhere: CI must never be
    green for what it did not run.
    """
    path = shutil.which(name, path=SEARCH_PATH) or _module_path(name) or _node_package_path(name)
    if path:
        return path
    message = f"{name} is not installed; `bash tests/run.sh` installs it, or says how"
    if os.environ.get("CI") == "true":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def _module_path(name: str) -> str | None:
    spec = find_spec(name) if name.isidentifier() else None
    return spec.origin if spec else None


def _node_package_path(name: str) -> str | None:
    folder = NODE_PACKAGES / name
    return str(folder) if (folder / "package.json").is_file() else None
