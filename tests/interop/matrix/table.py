"""The matrix: acceptor x command x identity x transport, and how each ends by docs/cli.md.

Exit codes are those of docs/cli.md: 0 done, 5 rejected, 6 not confirmed, 8 refused, 10 not sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

COMMANDS = ("echo", "find", "store", "move", "get")
TRANSPORTS = ("TCP", "mutual TLS")


class Acceptor(NamedTuple):
    """How an acceptor answers.

    Fields:
        name: as in docs/cli.md.
        commands: the exit code of each of COMMANDS, once the acceptor has let us in and confirmation is settled.
        nobody: the exit code without an identity.
        judged: of each kind of identity the exit codes of a right and of a wrong one, where it must be confirmed.
        remarks: why a command is not 0, and why a transport is not its own.
        rejects: in which of the standard's words.
    """

    name: str
    commands: tuple[int, ...]
    nobody: int
    judged: Mapping[str, tuple[int, int]]
    remarks: Mapping[str, str] = {}
    rejects: str = "permanent"

    def serves(self, command: str) -> int:
        """The exit code of this command."""
        return self.commands[COMMANDS.index(command)]


class Identity(NamedTuple):
    """What `--identity` and the options beside it say."""

    word: str
    options: tuple[str, ...] = ()


KINDS = ("username", "passcode", "kerberos", "saml", "jwt", "oidc")
RIGHT = {
    "username": Identity("username:alice"),
    "passcode": Identity("passcode:alice", ("--passcode-file", "right.passcode")),
    "kerberos": Identity("kerberos:dicom@pacs.test"),
    "saml": Identity("saml:right.xml"),
    "jwt": Identity("jwt:right.jwt"),
    "oidc": Identity("oidc:right"),
}
WRONG = {
    "username": Identity("username:alice", ("--calling", "ELSEWHERE")),  # where a bare name is not enough
    "passcode": Identity("passcode:alice", ("--passcode-file", "wrong.passcode")),
    "kerberos": Identity("kerberos:dicom@ris.test"),  # another service's ticket
    "saml": Identity("saml:wrong.xml"),  # by another issuer of the same name
    "jwt": Identity("jwt:wrong.jwt"),
    "oidc": Identity("oidc:elsewhere"),  # for another audience
}
UNSENT = {
    Identity("kerberos:dicom@nowhere.test"): 10,
    Identity("saml:missing.xml"): 10,
    Identity("saml:right.jwt"): 10,
    Identity("jwt:missing.jwt"): 10,
    Identity("jwt:right.xml"): 10,
    Identity("oidc:impostor"): 10,  # the provider does not know its secret
    Identity("oidc:unknown"): 1,
    Identity("passcode:alice", ("--passcode-file", "missing.passcode")): 1,
}
"""What cannot be sent to anybody, with its exit code."""

IGNORED = dict.fromkeys(KINDS, (6, 6))

ACCEPTORS = {
    each.name: each
    for each in (
        Acceptor(
            "DCMTK storescp",
            (0, 8, 0, 8, 8),
            0,
            IGNORED,
            dict.fromkeys(("find", "move", "get"), "it only takes files"),
        ),
        Acceptor(
            "DCMTK dcmqrscp",
            (0, 0, 0, 0, 0),
            0,
            IGNORED,
            {"mutual TLS": "3.6.7 has none; a tunnel ends it before it"},
        ),
        Acceptor("Orthanc", (0, 0, 0, 0, 0), 0, IGNORED),
        Acceptor("dcmjs-dimse", (0, 0, 0, 0, 8), 0, IGNORED, {"get": "it has no C-GET"}),
        Acceptor(
            "stock pynetdicom",
            (0, 0, 0, 0, 0),
            0,
            {kind: (6 if kind in ("username", "passcode") else 0, 5) for kind in KINDS},
            dict.fromkeys(("username", "passcode"), "it sends no response to types 1 and 2"),
            rejects="transient",
        ),
        Acceptor("useridentity", (0, 0, 0, 0, 0), 5, dict.fromkeys(KINDS, (0, 5))),
    )
}


class Cell(NamedTuple):
    """One command with one identity; its exit code, and what becomes of the identity where it is 0."""

    command: str
    identity: Identity
    confirmation: str
    code: int
    became: str = "no identity sent"

    def __str__(self) -> str:
        options = " ".join(self.identity.options)
        return " ".join(filter(None, (self.command, self.identity.word, options, self.confirmation)))


NOBODY = Identity("none")


def cells(name: str) -> Iterator[Cell]:
    """Every command with every identity, right and wrong; all that `--confirmation` may say; what cannot be sent."""
    acceptor = ACCEPTORS[name]
    for command in COMMANDS:
        yield Cell(command, NOBODY, "required", acceptor.nobody or acceptor.serves(command))
        for kind in KINDS:
            yield _cell(acceptor, command, kind, True, "required")
            yield _cell(acceptor, command, kind, False, "required")
            yield _cell(acceptor, command, kind, True, "wanted")
    for kind in KINDS:
        yield _cell(acceptor, "echo", kind, False, "wanted")
        yield _cell(acceptor, "echo", kind, True, "none")
        yield _cell(acceptor, "echo", kind, False, "none")
    for identity, code in UNSENT.items():
        yield Cell("echo", identity, "required", code)


def _cell(acceptor: Acceptor, command: str, kind: str, right: bool, confirmation: str) -> Cell:
    judged = acceptor.judged[kind][0 if right else 1]
    goes_on = judged == 0 or (judged == 6 and confirmation != "required")
    code = acceptor.serves(command) if goes_on else judged
    became = "identity confirmed*" if judged == 0 and confirmation != "none" else "identity not confirmed"
    return Cell(command, (RIGHT if right else WRONG)[kind], confirmation, code, became)


ENDS = {
    "echo": "{peer} answered: accepted, {became}; {tls}*",
    "find": "1CT1\t20040119",
    "store": "{peer} stored 1 file* ?B/s",
    "move": "{peer} moved 1 instance",
    "get": "{peer} sent 1 instance to got* ?B/s",
    1: "error: *",
    5: "error: rejected {rejects}, by the ACSE, no reason given (*)",
    6: "error: not confirmed: no server response: the acceptor may have ignored the * (PS3.7 D.3.3.7)",
    8: "error: refused*{peer}*",
    10: "error: not sent: *",
}
"""The first line: of standard output for 0, by command, of standard error otherwise. `*` is what differs each time."""


def documented() -> str:
    """The matrix as docs/cli.md shows it."""
    head = ("acceptor", *COMMANDS, "nobody", "right", "wrong", "why")
    rule = ("---", *["---:"] * (len(COMMANDS) + 1), "---", "---", "---")
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, rule, *map(_row, ACCEPTORS.values())))


def _row(acceptor: Acceptor) -> tuple[str, ...]:
    codes = (*acceptor.commands, acceptor.nobody)
    reasons: dict[str, list[str]] = {}
    for what, why in acceptor.remarks.items():
        reasons.setdefault(why, []).append(what)
    whys = "; ".join(f"{', '.join(what)}: {why}" for why, what in reasons.items())
    return (acceptor.name, *map(str, codes), _by_kind(acceptor, 0), _by_kind(acceptor, 1), whys)


def _by_kind(acceptor: Acceptor, place: int) -> str:
    """The exit code of most kinds of identity, and the kinds that have others."""
    codes = {kind: judged[place] for kind, judged in acceptor.judged.items()}
    usual = max(codes.values(), key=list(codes.values()).count)
    others = [kind for kind, code in codes.items() if code != usual]
    return str(usual) + (f", {' and '.join(others)} {codes[others[0]]}" if others else "")
