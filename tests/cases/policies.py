"""The policies of the table as files, with the issuer and the authority that they name."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from useridentity import Policy
from useridentity.testing.tokens import TokenIssuer


def load_policies(texts: Mapping[str, str], folder: Path, issuer: TokenIssuer, ca: Path) -> dict[str, Policy]:
    """Write the policies, and what they refer to, into `folder`, and load them."""
    issuer.write_jwks(folder / "jwks.json")
    shutil.copy(ca, folder / "ca.pem")
    policies = {}
    for name, text in texts.items():
        path = folder / f"{name}.toml"
        path.write_text(text, "utf-8")
        policies[name] = Policy.load(path)
    return policies
