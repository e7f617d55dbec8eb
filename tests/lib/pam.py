"""Real PAM services: files in /etc/pam.d that last as long as a test, users in a file of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SERVICES = Path("/etc/pam.d")

# `openssl passwd -6 -salt useridentity`, of "right" and of "bob's".
USERS = """\
alice:$6$useridentity$TRvJSSZNAwk/rxLAnp.vlaP.Bzg2PSiZXgxOvIKVNlF9ckFp.p9/s552T6FzT7rCV/4Ifm1.D8L0956uVTdR4/
locked:$6$useridentity$TRvJSSZNAwk/rxLAnp.vlaP.Bzg2PSiZXgxOvIKVNlF9ckFp.p9/s552T6FzT7rCV/4Ifm1.D8L0956uVTdR4/
bob:$6$useridentity$rrPG2pmb9ZcBmI12YyEK4qXxLlaHxLKvD07oUY5EasnIW/7a5EmXA1e9jn3o7pDCiZJTpfjIzrG7m0wE9Iehd0
"""

AUTH = "auth required pam_pwdfile.so pwdfile {folder}/users"
ACCOUNT = "account required pam_listfile.so item=user sense=deny file={folder}/locked onerr=fail"


@contextmanager
def pam_service(folder: Path, *lines: str, name: str = "") -> Iterator[str]:
    """The name of a service of these lines, for the users above; "{folder}" in them is where their files are.

    Where it cannot be had the test fails in CI and is skipped elsewhere, as `tests.parts.require` does.
    """
    if problem := _problem():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(problem)
    (folder / "users").write_text(USERS)
    (folder / "locked").write_text("locked\n")
    service = SERVICES / f"useridentity-test-{os.getpid()}{name}"
    service.write_text("".join(line.format(folder=folder) + "\n" for line in lines or (AUTH, ACCOUNT)))
    try:
        yield service.name
    finally:
        service.unlink()


def _problem() -> str:
    if not os.access(SERVICES, os.W_OK):
        return f"{SERVICES} cannot be written: only root can add a PAM service"
    if not any(Path("/usr/lib").glob("*/security/pam_pwdfile.so")):
        return "libpam-pwdfile is not installed; `bash tests/run.sh` installs it, or says how"
    return ""
