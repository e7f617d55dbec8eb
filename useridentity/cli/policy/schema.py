"""The schema with what is installed here."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points

from useridentity.config.schema import Schema, policy_schema
from useridentity.errors import ConfigurationError
from useridentity.plugins import BUILT_IN, VALIDATORS, validator_settings
from useridentity.printable import printable


def installed() -> Schema:
    """The schema with all validator types that can be loaded; of the others any keys are taken, and it is said."""
    return policy_schema([name for name in [*BUILT_IN, *sorted(entry_points(group=VALIDATORS).names)] if _loads(name)])


def _loads(name: str) -> bool:
    try:
        validator_settings(name)
    except ConfigurationError as error:
        print(f"warning: keys of this type are not checked: {printable(str(error))}", file=sys.stderr)
        return False
    return True
