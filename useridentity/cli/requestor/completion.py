"""What the shell completes: profiles, kinds of identity, attributes."""

from __future__ import annotations

import os
from contextlib import suppress
from glob import escape, glob

from useridentity.errors import ConfigurationError


def peer_names(incomplete: str) -> list[str]:
    """The profiles whose names begin so; none where the file cannot be read, for nobody can be told why."""
    from useridentity.cli.requestor.profiles import load

    try:
        return [name for name in load(None).peer if name.startswith(incomplete)]
    except ConfigurationError:
        return []


def peer_and_file_names(incomplete: str) -> list[str]:
    """The same, and files and folders, the latter with a slash to go on from."""
    files = sorted(glob(escape(incomplete) + "*"))
    return [*peer_names(incomplete), *(f"{each}/" if os.path.isdir(each) else each for each in files)]


def identity_words(incomplete: str) -> list[str]:
    """The kinds of identity, and the OpenID providers of the profiles file."""
    from useridentity.cli.requestor.identity import KINDS
    from useridentity.cli.requestor.profiles import load

    words = [kind if kind == "none" else f"{kind}:" for kind in KINDS]
    with suppress(ConfigurationError):
        words += [f"oidc:{name}" for name in load(None).oidc]
    return [word for word in words if word.startswith(incomplete)]


def storage_names(incomplete: str) -> list[str]:
    """The storage SOP classes whose keywords begin so."""
    from pydicom._uid_dict import UID_dictionary

    return sorted(
        entry[4] for entry in UID_dictionary.values() if "Storage" in entry[4] and entry[4].startswith(incomplete)
    )


def keys(incomplete: str) -> list[str]:
    """The standard's attributes whose keywords begin so, to go on with a value."""
    return [f"{each}=" for each in _keywords(incomplete)]


def columns(incomplete: str) -> list[str]:
    """The same without, after the columns that are there."""
    before, comma, last = incomplete.rpartition(",")
    return [before + comma + each for each in _keywords(last)]


def _keywords(incomplete: str) -> list[str]:
    from pydicom.datadict import keyword_dict

    return sorted(each for each in keyword_dict if incomplete and each.startswith(incomplete))
