"""Issuers, made once: keys take time."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.mechanisms.saml.issuer import Issuer, make_issuer


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("saml")


@pytest.fixture(scope="session")
def issuer(folder: Path) -> Issuer:
    """The identity provider that acceptors trust."""
    return make_issuer(folder, "idp")


@pytest.fixture(scope="session")
def stranger(folder: Path) -> Issuer:
    """An identity provider that nobody trusts."""
    return make_issuer(folder, "stranger")


@pytest.fixture(scope="session")
def elliptic(folder: Path) -> Issuer:
    """One with a key on P-256."""
    return make_issuer(folder, "elliptic", curve=ec.SECP256R1())
