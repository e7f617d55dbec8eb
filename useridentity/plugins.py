"""Mechanisms by name: the built-in ones and those of installed packages, loaded on demand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from useridentity.errors import ConfigurationError, described
from useridentity.settings import nearest

VALIDATORS = "useridentity.validators"
"""Entry-point group of acceptor's mechanisms; each entry is a frozen settings dataclass with `build(runtime)`."""

BUILT_IN: Mapping[str, str] = {
    "username": "useridentity.mechanisms.username:UsernameSettings",
    "passcode": "useridentity.mechanisms.passcode:PasscodeSettings",
    "kerberos": "useridentity.mechanisms.kerberos:KerberosSettings",
    "saml": "useridentity.mechanisms.saml:SamlSettings",
    "jwt": "useridentity.mechanisms.jwt:JwtSettings",
    "certificate": "useridentity.mechanisms.certificate:CertificateSettings",
}


def validator_settings(name: str) -> type[Any]:
    """The settings class of the validator type `name`; raises `ConfigurationError` unless just one can be loaded."""
    installed = entry_points(group=VALIDATORS)
    named = [entry for entry in installed if entry.name == name]
    offers = [f"{entry.value} of {entry.dist.name if entry.dist else 'unknown'}" for entry in named]
    if name in BUILT_IN:
        offers.insert(0, f"{BUILT_IN[name]}, built in")
    if not offers:
        raise ConfigurationError(f"{name!r} is no validator type{nearest(name, [*BUILT_IN, *installed.names])}")
    if len(offers) > 1:
        raise ConfigurationError(f"{name!r} is offered more than once: {'; '.join(offers)}; uninstall all but one")
    try:
        found = _load(BUILT_IN[name]) if name in BUILT_IN else named[0].load()
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{name!r} cannot be loaded: {error}") from None
    except Exception as error:  # noqa: BLE001  of another package, and its text may hold what is secret
        raise ConfigurationError(f"{name!r} cannot be loaded: {described(error)}") from None
    if not (isinstance(found, type) and is_dataclass(found) and callable(getattr(found, "build", None))):
        raise ConfigurationError(f"{name!r} cannot be used: {offers[0]} is no dataclass with a method build(runtime)")
    return found


def _load(reference: str) -> type[Any]:
    module, _, name = reference.partition(":")
    loaded: type[Any] = getattr(import_module(module), name)
    return loaded
