"""What may be done on an association: capabilities, who may play which role for them, and C-MOVE's destinations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType
from typing import NamedTuple

from useridentity.errors import ConfigurationError
from useridentity.scope import Scope
from useridentity.settings import Network, TitlePattern
from useridentity.sop_classes import OTHER_CLASSES, STORAGE_CLASSES

_FILM_SESSION = "1.2.840.10008.5.1.1.1"
_FILM_BOX = "1.2.840.10008.5.1.1.2"
_GRAYSCALE_IMAGE_BOX = "1.2.840.10008.5.1.1.4"
_COLOR_IMAGE_BOX = "1.2.840.10008.5.1.1.4.1"
_REFERENCED_IMAGE_BOX = "1.2.840.10008.5.1.1.4.2"
_PRINTER = "1.2.840.10008.5.1.1.16"
_PULL_PRINT_REQUEST = "1.2.840.10008.5.1.1.31"

_UPS_PUSH = "1.2.840.10008.5.1.4.34.6.1"
_UPS_OTHERS = [f"1.2.840.10008.5.1.4.34.6.{n}" for n in range(2, 6)]  # Watch, Pull, Event, Query

COMPONENTS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        # Print Management meta SOP classes, the retired ones included (PS3.4 Table H.3.2.2.1-1 and
        # H.3.2.2.2-1; PS3.4-2001 H.3.2.2.3 ff.).
        "1.2.840.10008.5.1.1.9": frozenset({_FILM_SESSION, _FILM_BOX, _GRAYSCALE_IMAGE_BOX, _PRINTER}),
        "1.2.840.10008.5.1.1.18": frozenset({_FILM_SESSION, _FILM_BOX, _COLOR_IMAGE_BOX, _PRINTER}),
        "1.2.840.10008.5.1.1.9.1": frozenset({_FILM_SESSION, _FILM_BOX, _REFERENCED_IMAGE_BOX, _PRINTER}),
        "1.2.840.10008.5.1.1.18.1": frozenset({_FILM_SESSION, _FILM_BOX, _REFERENCED_IMAGE_BOX, _PRINTER}),
        "1.2.840.10008.5.1.1.32": frozenset({_PULL_PRINT_REQUEST, _PRINTER}),
        # Unified Procedure Step: an instance is always one of UPS Push, whatever the context (PS3.4 CC.3.1).
        **dict.fromkeys(_UPS_OTHERS, frozenset({_UPS_PUSH})),
    }
)
"""Abstract syntaxes whose presentation context carries messages of other SOP classes."""


def carries(abstract_syntax: str, sop_class: str) -> bool:
    """Whether a message about `sop_class` may be sent on a context of `abstract_syntax` (PS3.7 D.3.3)."""
    return sop_class == abstract_syntax or sop_class in COMPONENTS.get(abstract_syntax, frozenset())


class Roles(NamedTuple):
    """The roles of the association requestor on a presentation context (PS3.7 D.3.3.4)."""

    scu: bool
    scp: bool


class Capability(NamedTuple):
    """One line of the table: on contexts of these abstract syntaxes the association requestor, as SCU or as SCP,
    may send these requests. A role without requests is one in which it only answers."""

    abstract_syntaxes: frozenset[str]
    is_scu: bool
    requests: frozenset[str]


def _scu(abstract_syntaxes: Iterable[str], *requests: str) -> Capability:
    return Capability(frozenset(abstract_syntaxes), True, frozenset(requests))


def _scp(abstract_syntaxes: Iterable[str], *requests: str) -> Capability:
    return Capability(frozenset(abstract_syntaxes), False, frozenset(requests))


def _named(*keywords: str) -> list[str]:
    return [OTHER_CLASSES[keyword] for keyword in keywords]


def _models(ending: str) -> list[str]:
    """The information models of query and retrieve (PS3.4 Annexes C, Y and Z)."""
    roots = ("PatientRoot", "StudyRoot", "PatientStudyOnly", "CompositeInstanceR")
    return [uid for keyword, uid in OTHER_CLASSES.items() if keyword.startswith(roots) and keyword.endswith(ending)]


_STORAGE = frozenset(STORAGE_CLASSES.values())
_RECEIVING = _scp(_STORAGE)  # C-GET's sub-operations come to the requestor (PS3.4 C.5.3)
_N_REQUESTS = ("N-CREATE", "N-SET", "N-GET", "N-ACTION", "N-DELETE")
_ANY_REQUEST = ("C-ECHO", "C-STORE", "C-FIND", "C-GET", *_N_REQUESTS)  # C-MOVE goes elsewhere, and needs its word
_PRINT = [uid for uid in OTHER_CLASSES.values() if uid.startswith("1.2.840.10008.5.1.1.")]
_NOT_PRINT = _named("MediaCreationManagement", "DisplaySystem")  # registered among print, and other services

CAPABILITIES: Mapping[str, tuple[Capability, ...]] = MappingProxyType(
    {
        "echo": (_scu(_named("Verification"), "C-ECHO"),),
        "store": (_scu(_STORAGE, "C-STORE"),),
        # Results come from the SCP, often on an association of its own (PS3.4 J.3.3).
        "commit": (
            _scu(_named("StorageCommitmentPushModel"), "N-ACTION"),
            _scp(_named("StorageCommitmentPushModel"), "N-EVENT-REPORT"),
        ),
        "worklist": (_scu(_named("ModalityWorklistInformationModelFind"), "C-FIND"),),
        "mpps": (  # PS3.4 F.7, F.8, F.9
            _scu(_named("ModalityPerformedProcedureStep"), "N-CREATE", "N-SET"),
            _scu(_named("ModalityPerformedProcedureStepRetrieve"), "N-GET"),
            _scp(_named("ModalityPerformedProcedureStepNotification"), "N-EVENT-REPORT"),
        ),
        "find": (_scu(_models("Find"), "C-FIND"),),
        "get": (_scu(_models("Get"), "C-GET"), _RECEIVING),
        "move": (_scu(_models("Move"), "C-MOVE"),),
        "print": (_scu(set(_PRINT) - set(_NOT_PRINT), *_N_REQUESTS),),
        "ups": (  # PS3.4 Tables CC.2-1 and CC.2.4
            _scu(_named("UnifiedProcedureStepPush"), "N-CREATE", "N-ACTION", "N-GET"),
            _scu(_named("UnifiedProcedureStepWatch"), "N-ACTION", "N-GET", "C-FIND"),
            _scu(_named("UnifiedProcedureStepPull"), "C-FIND", "N-GET", "N-SET", "N-ACTION"),
            _scu(_named("UnifiedProcedureStepQuery"), "C-FIND"),
            _scp(_named("UnifiedProcedureStepEvent"), "N-EVENT-REPORT"),
        ),
    }
)
"""What a word of `permit` stands for; sub-operations and notifications that come back need no word of their own."""

_ENDINGS = {"Find": "C-FIND", "Query": "C-FIND", "Move": "C-MOVE", "Get": "C-GET"}
_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")  # PS3.5 9.1: no component begins with a zero
_MAX_UID_LENGTH = 64  # PS3.5 9.1
_TRANSFER_SYNTAXES = "1.2.840.10008.1.2."  # PS3.6 Table A-1: they, and nothing else, are named so


def capability_words() -> tuple[str, ...]:
    """The words that `permit` knows beside SOP class UIDs and keywords, in alphabetical order."""
    return tuple(sorted(CAPABILITIES))


@lru_cache(maxsize=1024)
def capabilities_of(word: str) -> tuple[Capability, ...]:
    """What `word` stands for: a capability, or the keyword or UID of a SOP class.

    A SOP class of the table may be used as the table says, another one in both roles with any request but C-MOVE.
    Raises `ConfigurationError`, naming the nearest word, for any other.
    """
    if word in CAPABILITIES:
        return CAPABILITIES[word]
    uid = STORAGE_CLASSES.get(word) or OTHER_CLASSES.get(word) or word
    if not _UID.fullmatch(uid) or len(uid) > _MAX_UID_LENGTH:
        raise ConfigurationError(f'"{word}" is no capability, SOP class keyword or UID{_nearest(word)}')
    if f"{uid}.".startswith(_TRANSFER_SYNTAXES):
        raise ConfigurationError(f'"{word}" is a transfer syntax; name the SOP class itself')
    rows = [row for rows in CAPABILITIES.values() for row in rows if uid in row.abstract_syntaxes]
    narrowed = tuple(row._replace(abstract_syntaxes=frozenset({uid})) for row in rows) or _beside_the_table(uid)
    return (*narrowed, _RECEIVING) if any(row.requests == {"C-GET"} for row in narrowed) else narrowed


def _beside_the_table(uid: str) -> tuple[Capability, ...]:
    keyword = next((keyword for keyword, known in OTHER_CLASSES.items() if known == uid), "")
    request = next((request for ending, request in _ENDINGS.items() if keyword.endswith(ending)), None)
    if request is not None:
        return (_scu([uid], request),)
    return _scu([uid], *_ANY_REQUEST), _scp([uid], "N-EVENT-REPORT")


def _nearest(word: str) -> str:
    known = [*CAPABILITIES, *STORAGE_CLASSES, *OTHER_CLASSES]
    close = get_close_matches(word, known, 1)
    return (f'; did you mean "{close[0]}"?' if close else "") + f" (known: {', '.join(capability_words())})"


@dataclass(frozen=True, slots=True)
class Destination:
    """A place that C-MOVE may send to.

    Fields:
        ae_title: the Move Destination (PS3.7 9.1.4.1.4), in which `*` stands for any characters.
        network: where that AE has to be when it is connected to; None where its address says nothing.
    """

    ae_title: TitlePattern
    network: Network | None = None

    def admits(self, ae_title: str, address: IPv4Address | IPv6Address | None = None) -> bool:
        """Whether this place is meant; without `address`, before one is known, the AE title alone decides."""
        if not title_matches(self.ae_title, ae_title):
            return False
        return self.network is None or address is None or address in self.network


def title_matches(pattern: str, ae_title: str) -> bool:
    """Whether an AE title is one of a pattern's, in which `*` stands for any characters."""
    first, *others = pattern.split("*")
    if not others:
        return pattern == ae_title
    *between, last = others
    at, end = len(first), len(ae_title) - len(last)
    if at > end or not ae_title.startswith(first) or not ae_title.endswith(last):
        return False
    for part in between:  # each at the first place there is: what could match after a later one does after this one
        found = ae_title.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


@dataclass(frozen=True, slots=True)
class Request:
    """A DIMSE request of the association requestor.

    Fields:
        kind: the service, "C-STORE" to "N-DELETE".
        sop_class: what it names as its Affected or Requested SOP Class UID.
        abstract_syntax: of the presentation context it came on.
        requestor_is_scu: the role in which the requestor sent it.
        destination: C-MOVE's Move Destination, without padding.
        destination_address: where that is, None as long as nobody has looked it up.
    """

    kind: str
    sop_class: str
    abstract_syntax: str
    requestor_is_scu: bool = True
    destination: str = ""
    destination_address: IPv4Address | IPv6Address | None = None


_Table = Mapping[tuple[str, bool], frozenset[str]]  # requests by abstract syntax and role


@lru_cache(maxsize=256)
def _table(words: tuple[str, ...]) -> _Table:
    table: dict[tuple[str, bool], frozenset[str]] = {}
    for row in _rows(words):
        for uid in row.abstract_syntaxes:
            table[uid, row.is_scu] = table.get((uid, row.is_scu), frozenset()) | row.requests
    return table


def _rows(words: Iterable[str]) -> Iterator[Capability]:
    for word in words:
        yield from capabilities_of(word)


@dataclass(frozen=True, slots=True)
class Permission:
    """What an accepted identity may do; made by `Permission.of`.

    Fields:
        words: capabilities, SOP class keywords and UIDs as the policy lists them; None for everything that the
            acceptor offers.
        destinations: where C-MOVE may send to; none is nowhere.
        scope: the studies that may be reached, None for all.
        emergency: the reason given where this is a break-glass permission, else empty.
    """

    words: tuple[str, ...] | None
    destinations: tuple[Destination, ...] = ()
    scope: Scope | None = None
    emergency: str = ""

    @classmethod
    def of(
        cls,
        words: Sequence[str],
        destinations: Iterable[Destination | str] = (),
        scope: Scope | None = None,
        emergency: str = "",
    ) -> Permission:
        """The permission that `permit` spells out.

        Raises `ConfigurationError` listing every unknown word, and for a scope that is none.
        """
        if isinstance(words, str):
            raise ConfigurationError("permit: a string would be read letter by letter; give a list of words")
        problems: list[str] = []
        if scope is not None and not isinstance(scope, Scope):
            problems.append(f"scope: a {type(scope).__name__} limits nothing; Scope.of makes a scope of a table")
        for word in words:
            try:
                capabilities_of(word)
            except ConfigurationError as error:
                problems += error.problems
        if problems:
            raise ConfigurationError(problems)
        places = [Destination(place) if isinstance(place, str) else place for place in destinations]
        return cls(tuple(dict.fromkeys(words)), tuple(places), scope, emergency)

    def roles(self, abstract_syntax: str) -> Roles:
        """The roles that the association requestor may have on a context of `abstract_syntax`."""
        if self.words is None:
            return Roles(True, True)
        table = _table(self.words)
        return Roles((abstract_syntax, True) in table, (abstract_syntax, False) in table)

    def denies(self, request: Request) -> str:
        """Why `request` is not permitted, for log and audit and never for the peer; empty where it is."""
        if not carries(request.abstract_syntax, request.sop_class):
            return f"{request.kind} of {request.sop_class} on a presentation context of {request.abstract_syntax}"
        if self.words is None:
            return ""
        permitted = _table(self.words).get((request.abstract_syntax, request.requestor_is_scu), frozenset())
        if request.kind not in permitted:
            return f"{request.kind} as {'SCU' if request.requestor_is_scu else 'SCP'} of {request.abstract_syntax}"
        if request.kind == "C-MOVE" and not self.reaches(request.destination, request.destination_address):
            return f"C-MOVE to {request.destination!r}, {request.destination_address or 'wherever that is'}"
        return ""

    def reaches(self, ae_title: str, address: IPv4Address | IPv6Address | None = None) -> bool:
        """Whether C-MOVE may send to `ae_title`, at `address` where that is known."""
        return self.words is None or any(place.admits(ae_title, address) for place in self.destinations)

    def allows(self, word: str) -> bool:
        """Whether everything that may be requested under `word` is permitted, C-MOVE's destinations aside.

        `word` is as in `permit`; raises `ConfigurationError` for one that is unknown.
        """
        asked = capabilities_of(word)
        if self.words is None:
            return True
        table = _table(self.words)
        return all(
            row.requests <= table.get((uid, row.is_scu), frozenset()) for row in asked for uid in row.abstract_syntaxes
        )


EVERYTHING = Permission(None)
"""All that the acceptor offers: what a policy without any `[[authorize]]` grants."""

NOTHING = Permission(())
"""Where everything starts from."""
