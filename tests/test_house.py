"""Who may import what: the rooms of the house have the doors that the design gives them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "useridentity"

CORE = [
    "credential", "identity", "facts", "decision", "errors", "permission", "scope", "validator", "wire",
    "dimse", "sop_classes", "policy", "claim_path", "ae_title", "printable", "settings/shape", "mechanisms/purposes",
]  # fmt: skip
"""No I/O, and nothing outside the standard library."""

DOES_IO = {
    "asyncio", "http", "io", "logging", "multiprocessing", "os", "select", "selectors", "shutil", "socket",
    "socketserver", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "urllib",
}  # fmt: skip

ROOMS = {
    "pynetdicom": ("pynetdicom", "testing", "cli"),
    "asyncio": ("gateway",),
    "precis_i18n": ("mechanisms/username",),
    "argon2": ("mechanisms/passcode",),
    "ldap": ("mechanisms/passcode", "mechanisms/ldap"),
    "pam": ("mechanisms/passcode",),
    "gssapi": ("mechanisms/kerberos",),
    "jwt": ("mechanisms/jwt", "testing"),
    "signxml": ("mechanisms/saml", "testing"),
    "onelogin": ("mechanisms/saml", "testing"),
    "lxml": ("mechanisms/saml", "testing"),
    "cryptography": ("mechanisms", "testing", "tls"),
    "redis": ("state/redis",),
    "typer": ("cli",),
    "rich": ("cli",),
    "pydicom": ("cli", "testing", "pynetdicom"),
}
"""Which rooms, by the beginning of their path, may import a library."""


def imports(path: Path) -> Iterator[str]:
    """The top-level modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def is_ours_or_standard(module: str) -> bool:
    return module == "useridentity" or module in sys.stdlib_module_names


def files(room: str) -> list[Path]:
    """Those of a package, or the one of a module."""
    return sorted((PACKAGE / room).glob("*.py")) or [PACKAGE / f"{room}.py"]


@pytest.mark.parametrize("path", [each for room in CORE for each in files(room)], ids=str)
def test_the_core_does_no_io_and_needs_the_standard_library_only(path: Path) -> None:
    imported = set(imports(path))
    assert not imported & DOES_IO
    assert all(is_ours_or_standard(module) for module in imported)
    calls = ast.walk(ast.parse(path.read_text()))
    assert not [each for each in calls if isinstance(each, ast.Name) and each.id in ("open", "print", "input")]


def test_every_library_is_imported_in_its_room_only() -> None:
    strangers = []
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).as_posix()
        for module in set(imports(path)):
            free = module not in ROOMS and is_ours_or_standard(module)
            if not free and not room.startswith(ROOMS.get(module, ())):
                strangers.append(f"{room} imports {module}")
    assert strangers == []


def test_the_core_can_be_imported_without_any_library() -> None:
    import subprocess

    code = "import sys, useridentity; print(sorted({m.split('.')[0] for m in sys.modules} - sys.stdlib_module_names))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    loaded = [name for name in ast.literal_eval(done.stdout) if not name.startswith("_")]
    assert [name for name in loaded if name in ROOMS] == []
