"""Whatever bytes come, `useridentity.wire` answers with a PDU or a `WireError`, and stock pynetdicom agrees."""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat

import pytest

from tests.fuzz.mutation import Mutator
from tests.fuzz.oracle import check, stock_primitive
from tests.lib.pdus import MAXIMUM_LENGTH, VERIFICATION, associate_rq, item, pdu, presentation_context
from useridentity.wire import ASSUMED_MAXIMUM_LENGTH, MAX_ASSOCIATE_LENGTH, decode

MUTANTS = int(os.environ.get("USERIDENTITY_FUZZ_MUTANTS", "1000000"))
WORKERS = 2
REFUSALS_JUDGED = 8  # one in so many; stock takes thirty times as long as what it judges, and has nothing to add
HANG = 5.0  # seconds; a hundred times what the largest PDU takes

TINY = {
    "empty transfer syntaxes": item(0x40, b""),
    "empty items of unknown type": item(0x60, b""),
    "application context names": item(0x10, b"1"),
}
TINY_SUB_ITEMS = {
    "empty, unknown": item(0x5A, b""),
    "empty implementation class UIDs": item(0x52, b""),
    "empty version names": item(0x55, b""),
    "role selections": item(0x54, b"\0\x011\0\1"),
    "common extended negotiations": item(0x57, b"\0\x011\0\x011\0\0"),
    "one common extended negotiation": item(0x57, b"\0\x011\0\x011\0\0" + b"\0\x011" * 21000),
}


def fuzz(worker: int, mutants: int) -> Counter[str]:
    """How many of this worker's mutants were accepted and refused; stock agreed with every acceptance."""
    logging.disable()  # stock logs every PDU that it cannot read
    mutator = Mutator(f"useridentity {worker}")
    tally: Counter[str] = Counter()
    for number in range(mutants):
        mutant = mutator.mutant()
        try:
            tally[check(mutant, judge_refusal=number % REFUSALS_JUDGED == 0)] += 1
        except Exception as error:
            raise AssertionError(f"{error!r} for {mutant.hex()}") from error
    return tally


@pytest.mark.threat("T4")
def test_whatever_a_mutant_of_a_real_pdu_gets_is_a_wire_error_or_a_reading_that_stock_shares() -> None:
    """A million mutants by default; `-s` or `-rP` tells how they fared."""
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as pool:
        tally = sum(pool.map(fuzz, range(WORKERS), repeat(MUTANTS // WORKERS)), Counter())
    print(dict(tally))
    for outcome in ("accepted", "refused"):
        assert tally[outcome] > MUTANTS / 10, "the mutations are too harsh, or too mild, to tell anything"


@pytest.mark.parametrize("size", [64 * 1024, MAX_ASSOCIATE_LENGTH], ids=["64 KiB", "256 KiB"])
@pytest.mark.parametrize("tiny", TINY.values(), ids=TINY)
def test_a_pdu_full_of_tiny_items_is_read_and_normalised_at_once(tiny: bytes, size: int) -> None:
    """Time and memory grow with the PDU, not with the number of items in it squared."""
    whole = associate_rq(contexts=(presentation_context(1, VERIFICATION),))
    filled = pdu(1, whole[6:] + tiny * ((size - len(whole)) // len(tiny)))
    started = time.monotonic()
    normalised = decode(filled).normalised()
    assert time.monotonic() - started < HANG
    assert len(normalised) <= len(filled)


@pytest.mark.parametrize("tiny", TINY_SUB_ITEMS.values(), ids=TINY_SUB_ITEMS)
def test_a_user_information_item_full_of_tiny_sub_items_is_read_and_normalised_at_once(tiny: bytes) -> None:
    """Also where no room is left for the maximum length that stock needs."""
    filled = associate_rq()
    filled = pdu(1, filled[6 : filled.index(MAXIMUM_LENGTH) - 4] + item(0x50, tiny * (0xFFFF // len(tiny))))
    started = time.monotonic()
    normalised = decode(filled).normalised()
    assert time.monotonic() - started < HANG
    assert stock_primitive(normalised).maximum_length_received == ASSUMED_MAXIMUM_LENGTH
