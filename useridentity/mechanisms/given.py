"""What an application gives a provider to send: as it is, or by a callable that is asked for it each time."""

from __future__ import annotations

from collections.abc import Callable

from useridentity.errors import ConfigurationError, CredentialUnavailable

Given = bytes | str | Callable[[], bytes | str]
"""A secret, or a callable that is asked for it each time it is needed."""


def check_given(given: object, name: str) -> None:
    """Raises `ConfigurationError` for what can be no secret."""
    if not (isinstance(given, bytes | str) or callable(given)):
        raise ConfigurationError(f"{name} is a {type(given).__name__}; give bytes, a string, or a callable")


def revealed(given: object, name: str) -> object:
    """What it is now; raises `CredentialUnavailable` where its callable fails, of which only the error's type shows."""
    if not callable(given):
        return given
    try:
        return given()
    except Exception as error:
        raise CredentialUnavailable(f"{name} callable raised {type(error).__name__}") from error
