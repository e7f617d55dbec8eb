"""Whatever bytes come, `useridentity.dimse` answers with a command or a `WireError`, and stock pynetdicom agrees."""

from __future__ import annotations

import logging
import os
import warnings
from collections import Counter
from io import BytesIO
from random import Random
from struct import pack
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom.dimse_messages import _MESSAGE_TYPES, DIMSEMessage
from pynetdicom.dsutils import decode
from pynetdicom.pdu import P_DATA_TF

from tests.lib.commands import (
    COMMAND,
    FIELDS,
    IDENTIFIER,
    LAST,
    Elements,
    cancel_elements,
    command_set,
    element,
    p_data,
    request_elements,
    response_elements,
    us,
    value,
)
from tests.lib.pdus import CT_IMAGE_STORAGE, VERIFICATION
from useridentity.dimse import KINDS, Assembly, Command, Message, parse
from useridentity.errors import WireError
from useridentity.pynetdicom.messages import says

MUTANTS = int(os.environ.get("USERIDENTITY_FUZZ_MUTANTS", "1000000")) // 20
STREAMS = MUTANTS // 10

CORPUS: list[Elements] = [
    *(request_elements(kind, CT_IMAGE_STORAGE) for kind in FIELDS if kind != "C-CANCEL"),
    *(response_elements(kind, VERIFICATION) for kind in FIELDS if kind != "C-CANCEL"),
    cancel_elements(),
    request_elements("C-STORE", CT_IMAGE_STORAGE) | {0x1030: b"MOVER ", 0x1031: us(5)},
    response_elements("C-MOVE", VERIFICATION, status=0xFF00) | {0x1020: us(1), 0x1021: us(2), 0x1022: us(0)},
    response_elements("C-STORE", VERIFICATION, status=0x0124) | {0x0902: b"not authorized"},
    request_elements("N-GET", VERIFICATION) | {0x1005: bytes.fromhex("08000500 10001000")},
]

VALUES = [
    b"", b"\0", b"\0\0", b"\1\1", b"\xff\xff", bytes(4), b"1.2", b"1.2\0", b"1.2 ", b" 1.2", b"1.2\\1.3", b"\xe4",
    b"WS_1", b"WS_1\\WS_2",
    b" WS_1 ", b"WS_1\0", b"\t1.2", VERIFICATION.encode(), CT_IMAGE_STORAGE.encode(), b"1." * 32 + b"1",
]  # fmt: skip
NUMBERS = [
    0, 1, 2, 3, 0x0100, 0x0110, 0x0120, 0x0600, 0x0700, 0x0800, 0x0900, 0x0901, 0x0902, 0x0903, 0x1000, 0x1001,
    0x1002, 0x1005, 0x1008, 0x1020, 0x1030, 0x1031, 0x5110, 0xFFFE,
]  # fmt: skip

KEYWORDS = {
    "MessageID", "MessageIDBeingRespondedTo", "AffectedSOPClassUID", "RequestedSOPClassUID", "AffectedSOPInstanceUID",
    "RequestedSOPInstanceUID", "CommandDataSetType", "CommandField", "MoveDestination", "Status",
}  # fmt: skip


class Mutator:
    """Makes mutants of command sets, each by a change or a few."""

    def __init__(self, seed: str) -> None:
        self.random = Random(seed)

    def mutant(self) -> bytes:
        pick = self.random
        elements = dict(pick.choice(CORPUS))
        for _ in range(pick.choice((0, 1, 1, 2, 3))):
            number = pick.choice(pick.choice((NUMBERS, list(elements) or NUMBERS)))
            if pick.random() < 0.3:
                elements.pop(number, None)
            else:
                elements[number] = self._value(elements.get(number, b""))
        elements.pop(0, None)
        data = command_set(elements) if pick.random() < 0.7 else self._shuffled(elements)
        return self._flipped(data) if pick.random() < 0.3 else data

    def _value(self, value: bytes) -> bytes:
        pick = self.random
        return pick.choice((pick.choice(VALUES), value + pick.choice((b"\0", b" ", b"\\", b"1")), pick.randbytes(2)))

    def _shuffled(self, elements: Elements) -> bytes:
        """Out of order, doubled, or with another group."""
        parts = [element(number, elements[number]) for number in sorted(elements)]
        pick = self.random
        change = pick.randrange(3)
        if change == 0:
            pick.shuffle(parts)
        elif change == 1:
            parts.insert(pick.randrange(len(parts) + 1), pick.choice(parts or [b""]))
        else:
            parts.append(element(pick.choice(NUMBERS), pick.choice(VALUES), pick.choice((0, 8, 0x10, 0xFFFE))))
        body = b"".join(parts)
        return element(0, pack("<I", len(body))) + body

    def _flipped(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(self.random.randrange(1, 4)):
            changed[self.random.randrange(len(changed))] ^= 1 << self.random.randrange(8)
        return bytes(changed) if self.random.random() < 0.8 else bytes(changed[: self.random.randrange(len(changed))])


def disagreement(command: Command, dataset: Dataset) -> str:
    """What pydicom reads otherwise, element by element and not through anything of ours."""
    read = {keyword: dataset[keyword].value for keyword in KEYWORDS if keyword in dataset}
    responded = not command.is_request or command.kind == "C-CANCEL"
    expected: dict[str, Any] = {
        "MessageIDBeingRespondedTo" if responded else "MessageID": command.message_id,
        "CommandField": next(field for field, kind in KINDS.items() if kind == command.kind)
        | (0 if command.is_request else 0x8000),
    }
    wrong = [keyword for keyword, expectation in expected.items() if read.get(keyword) != expectation]
    if (read.get("CommandDataSetType") != 0x0101) is not command.has_data_set:
        wrong.append("CommandDataSetType")
    for uid, ours in (("SOPClassUID", command.sop_class), ("SOPInstanceUID", command.sop_instance)):
        named = {str(read[f"{which}{uid}"] or "") for which in ("Affected", "Requested") if f"{which}{uid}" in read}
        if named != {ours} and (named or ours):
            wrong.append(uid)
    if str(read.get("MoveDestination") or "") != command.destination:
        wrong.append("MoveDestination")
    if not command.is_request and read.get("Status") != command.status:
        wrong.append("Status")
    return ", ".join(wrong)


def stock_primitive(data: bytes, dataset: Dataset) -> Any:
    """What stock makes of it, None where it would abort."""
    message = DIMSEMessage()
    message.command_set = dataset
    message.data_set = BytesIO()
    message.__class__ = _MESSAGE_TYPES[dataset.CommandField][1]
    try:
        return message.message_to_primitive()
    except Exception:  # whatever its setters find wrong
        return None


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    """Stock logs, and pydicom warns of, what mutants hold."""
    logging.disable()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


@pytest.mark.threat("D2")
def test_whatever_a_mutant_of_a_command_set_gets_is_a_wire_error_or_a_reading_that_pydicom_shares() -> None:
    """Fifty thousand mutants by default; `-s` or `-rP` tells how they fared."""
    mutator = Mutator("useridentity command sets")
    tally: Counter[str] = Counter()
    for _ in range(MUTANTS):
        mutant = mutator.mutant()
        try:
            command = parse(mutant)
        except WireError:
            tally["refused"] += 1
            continue
        dataset = decode(BytesIO(mutant), True, True)
        assert not disagreement(command, dataset), f"{disagreement(command, dataset)} for {mutant.hex()}"
        primitive = stock_primitive(mutant, dataset)
        served = primitive is not None and says(primitive, command)
        if served and command.is_request and command.kind != "C-CANCEL":
            assert primitive.is_valid_request
        tally["served alike" if served else "refused after stock has read it"] += 1
    print(dict(tally))
    assert all(tally[outcome] > MUTANTS / 100 for outcome in ("refused", "served alike"))


def stream(mutator: Mutator) -> list[bytes]:
    """PDUs of a few messages, cut anywhere, some of them disturbed."""
    pick = mutator.random
    values = []
    for _ in range(pick.randrange(1, 4)):
        elements = pick.choice(CORPUS)
        parts = [(COMMAND, command_set(elements))]
        if elements[0x0800] != us(0x0101):
            parts.append((0, IDENTIFIER))
        context_id = pick.choice((1, 3))
        for control, data in parts:
            at = pick.randrange(len(data) + 1)
            values += [value(context_id, control, data[:at]), value(context_id, control | LAST, data[at:])]
        if pick.random() < 0.3:
            at, to = pick.randrange(len(values)), pick.randrange(len(values))
            values[at], values[to] = values[to], values[at]
    pdus = [p_data(*values[at : at + 2]) if pick.random() < 0.5 else b"" for at in range(0, len(values), 2)]
    cut = [each for at, pdu in enumerate(pdus) for each in ([pdu] if pdu else map(p_data, values[2 * at : 2 * at + 2]))]
    return [bytes(mutator._flipped(each)) if pick.random() < 0.02 else each for each in cut]


@pytest.mark.threat("D3")
def test_whatever_stream_of_fragments_comes_the_messages_are_those_that_stock_puts_together() -> None:
    mutator = Mutator("useridentity fragments")
    tally: Counter[str] = Counter()
    for _ in range(STREAMS):
        assembly, stock = Assembly(lambda message: None), DIMSEMessage()
        pdus = stream(mutator)
        for pdu in pdus:
            try:
                completed: Message | None = assembly.add(pdu)
            except WireError:
                tally["refused"] += 1
                break
            read = P_DATA_TF()
            read.decode(pdu)
            if stock.decode_msg(read.to_primitive()):
                assert completed is not None, [each.hex() for each in pdus]
                assert completed.context_id == stock.context_id
                assert not disagreement(completed.command, stock.command_set)
                tally["completed alike"] += 1
                stock = DIMSEMessage()
            else:
                assert completed is None, [each.hex() for each in pdus]
    print(dict(tally))
    assert all(tally[outcome] > STREAMS / 100 for outcome in ("refused", "completed alike"))
