"""Who still sends no identity: the report of a migration, from the log of its acceptor."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from json import JSONDecoder

from useridentity.cli.policy.output import rows, say
from useridentity.identity import Assurance

_DECISION = re.compile(r"\bassociation (?=outcome=)")
_KEY = re.compile(r" ?(\w+)=")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?")
_VALUE = JSONDecoder()


@dataclass(slots=True)
class Sender:
    """A peer that was let in without an identity.

    Fields:
        calling, called: AE titles.
        address: without the port.
        rule: the `[[authenticate]]` rule that lets it in.
        associations: how many.
        last: the time of the last, as the log has it; empty where its lines begin with no ISO 8601 time.
        waived: why it would have been refused without `unproved`, the last time.
    """

    calling: str
    address: str
    called: str
    rule: str
    associations: int = 0
    last: str = ""
    waived: str = ""


@dataclass(slots=True)
class Report:
    """What a log says of a migration: the peers without an identity, and how many associations had one."""

    senders: list[Sender]
    proved: int


def report(lines: Iterable[str]) -> Report:
    """What the log lines say; those that are no decision are passed over."""
    found: dict[tuple[str, ...], Sender] = {}
    proved = 0
    for time, fields in _decisions(lines):
        if fields.get("outcome") != "accepted":
            continue
        if fields.get("assurance") != Assurance.UNPROVED.value:
            proved += 1
            continue
        address = str(fields.get("peer")).rpartition(":")[0].strip("[]")
        key = (str(fields.get("calling")), address, str(fields.get("called")), str(fields.get("rule")))
        sender = found.setdefault(key, Sender(*key))
        sender.associations += 1
        sender.last = time or sender.last
        sender.waived = str(fields.get("waived", ""))
    return Report(sorted(found.values(), key=lambda each: (-each.associations, each.calling, each.address)), proved)


def show(found: Report) -> None:
    """The report for people."""
    if found.senders:
        cells = [(s.calling, s.address, s.called, s.rule, str(s.associations), s.last) for s in found.senders]
        print("\n".join(rows([("calling", "address", "called", "rule", "times", "last"), *cells])))
        print()
    times = sum(sender.associations for sender in found.senders)
    say(
        f"{len(found.senders)} {'peer' if len(found.senders) == 1 else 'peers'} sent no identity, in {times} "
        f"{'association' if times == 1 else 'associations'}; {found.proved} had one."
    )


def plain(found: Report) -> Mapping[str, object]:
    """The report for scripts."""
    return {"unproved": [asdict(sender) for sender in found.senders], "proved": found.proved}


def _decisions(lines: Iterable[str]) -> Iterator[tuple[str, Mapping[str, object]]]:
    """The time and the fields of each line that records a decision."""
    for line in lines:
        if begins := _DECISION.search(line):
            time = _TIME.search(line, 0, begins.start())
            yield time[0] if time else "", _fields(line[begins.end() :])


def _fields(text: str) -> Mapping[str, object]:
    """The fields of a line of `useridentity.log`, up to what is none."""
    fields: dict[str, object] = {}
    place = 0
    while key := _KEY.match(text, place):
        try:
            fields[key[1]], place = _VALUE.raw_decode(text, key.end())
        except json.JSONDecodeError:
            break
    return fields
