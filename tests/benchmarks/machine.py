"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("useridentity", "pynetdicom", "pydicom", "gssapi", "PyJWT", "signxml", "python-ldap", "redis")


def description() -> list[str]:
    """Machine, versions and load, a line each."""
    packages = [f"{name} {found}" for name in PACKAGES if (found := _version(name))]
    return [
        f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"Machine: {_processor()}, {os.cpu_count()} cores, {_memory()}, {platform.system()} {platform.release()}",
        f"Versions: Python {platform.python_version()}, {', '.join(packages)}, {_dcmtk()}",
        f"Load average before the run: {load():.1f}",
    ]


def load() -> float:
    """Processes that ran or waited to, over the last minute."""
    return os.getloadavg()[0]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    names = [line for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else platform.machine()


def _memory() -> str:
    total = next((line for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), None)
    return f"{int(total.split()[1]) / 1024**2:.0f} GiB" if total else "unknown memory"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def _dcmtk() -> str:
    try:
        # "$dcmtk: storescu v3.6.7 2022-04-22 $"
        output = subprocess.run(["storescu", "--version"], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return "no DCMTK"
    return "DCMTK " + output.split()[2].removeprefix("v")
