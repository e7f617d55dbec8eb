"""The table of authorization cases, for whatever enforces a policy: a `Driver` runs a case and says what it saw."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from useridentity.sop_classes import OTHER_CLASSES, STORAGE_CLASSES

TABLE = Path(__file__).with_name("authorization.toml")

Answer = Literal["", "served", "refused", "aborted"]
REJECTED = "rejected"
"""In place of the contexts: the association was rejected with (1,2,1)."""

SUPPORTED = (*STORAGE_CLASSES.values(), *OTHER_CLASSES.values(), "1.2.826.0.1.3680043.9.1")
"""What every acceptor under test supports, in both roles."""


class Roles(NamedTuple):
    """Of the requestor."""

    scu: bool
    scp: bool

    def __str__(self) -> str:
        return {(True, True): "both", (True, False): "scu", (False, True): "scp"}.get(self, "refused")


@dataclass(frozen=True)
class Offer:
    """A presentation context; `roles` is None where the requestor selects none."""

    abstract_syntax: str
    roles: Roles | None


@dataclass(frozen=True)
class Ask:
    """A request on the context of `index` in the offer, which may not exist."""

    kind: str
    sop_class: str
    index: int
    destination: str


@dataclass(frozen=True)
class Identity:
    """What the requestor has to show for itself.

    `claims` are of a token by the issuer of the policy, `username` is a bare one; None, nothing of that kind
    is sent. `node`: with the client certificate of the node CT_1.
    """

    claims: Mapping[str, Any] | None = None
    username: str | None = None
    node: bool = False
    calling: str = "WORKSTATION"
    address: str = "127.0.0.1"


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    name: str
    policy: str
    identity: Identity
    offers: tuple[Offer, ...]
    grants: tuple[str, ...] | str
    ask: Ask | None
    answer: Answer


@dataclass(frozen=True)
class Observed:
    """What a driver saw: as `grants` and `answer` of a case."""

    grants: tuple[str, ...] | str
    answer: Answer = ""


class Driver(Protocol):
    """Something that enforces policies, by name; adapters under test implement this and nothing else."""

    def run(self, case: Case) -> Observed:
        """Ask for the association of `case` under its policy, and then what it asks."""


def load() -> tuple[Mapping[str, str], list[Case]]:
    """The policies by name, and all cases."""
    document = tomllib.loads(TABLE.read_text("utf-8"))
    identities = {name: Identity(**fields) for name, fields in document["identities"].items()}
    cases = [
        _case(name, number, identities[row["who"]], row)
        for name, content in document["policies"].items()
        for number, row in enumerate(content["cases"], 1)
    ]
    return {name: content["policy"] for name, content in document["policies"].items()}, cases


def uid_of(name: str) -> str:
    """The UID of a SOP class by its keyword, or itself."""
    return STORAGE_CLASSES.get(name) or OTHER_CLASSES.get(name) or name


def _case(policy: str, number: int, identity: Identity, row: Mapping[str, Any]) -> Case:
    grants = row["grants"] if row["grants"] == REJECTED else tuple(row["grants"])
    ask = row.get("ask", "")
    name = f"{policy} {number}: {row['who']}, {' and '.join(row['offer'])}" + (f", {ask}" if ask else "")
    offers = tuple(map(_offer, row["offer"]))
    return Case(name, policy, identity, offers, grants, _ask(ask) if ask else None, row.get("answer", ""))


def _offer(text: str) -> Offer:
    name, *roles = text.split()
    return Offer(uid_of(name), Roles("scu" in roles, "scp" in roles) if roles else None)


def _ask(text: str) -> Ask:
    kind, sop_class, *rest = text.split()
    index = next((int(word[1:]) for word in rest if word.startswith("@")), 0)
    destination = rest[rest.index("to") + 1] if "to" in rest else ""
    return Ask(kind, uid_of(sop_class), index, destination)
