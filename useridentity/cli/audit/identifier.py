"""A query's identifier in words: what somebody searched for."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from io import BytesIO

from useridentity.audit.record import Operation
from useridentity.printable import printable


def elements(operation: Operation) -> Iterator[str]:
    """The elements of the identifier, a printable line each; one line that says so where it cannot be read."""
    from pydicom.filereader import read_dataset
    from pydicom.uid import UID

    try:
        with warnings.catch_warnings():  # of values that are not what their representation allows
            warnings.simplefilter("ignore")
            syntax = UID(operation.transfer_syntax)
            found = read_dataset(BytesIO(operation.identifier), syntax.is_implicit_VR, syntax.is_little_endian)
            # Of some representations, UI for one, `repval` is the value as the peer sent it.
            yield from (printable(f"{each.tag} {each.keyword}: {each.repval}") for each in found)
    except Exception as error:  # noqa: BLE001  whatever pydicom finds wrong with what a peer sent
        yield f"cannot be read: {type(error).__name__}"
