"""Milliseconds to judge a Kerberos ticket, beside the least that gssapi has to be asked: accept it, and whose it is.

A ticket can be judged once, so that each round brings its own; making them is not measured.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import gssapi
import pytest

from tests.benchmarks.figure import EFFORT, Figure, compare
from tests.mechanisms.builders import context, facts
from tests.mechanisms.kerberos.hospital import SERVICE, Hospital, hospital
from useridentity.credential import Credential
from useridentity.mechanisms.kerberos import Form

COUNT = 300
RATIO = 1.3
"""Issue 3: what all our checks may cost beside the library's."""
KERBEROS_MS = 0.5
"""Issue 3: one ticket, all in all."""


def measure() -> list[Figure]:
    """Both framings beside the library, and a bare ticket by the clock."""
    with _settled() as founded:
        figures = [_figure(founded, form) for form in (Form.RAW, Form.GSS)]
    raw = figures[0]
    return [*figures, Figure("Kerberos, one validation", raw.ours, None, "ms", KERBEROS_MS, False, raw.spread)]


@contextmanager
def _settled() -> Iterator[Hospital]:
    with (
        tempfile.TemporaryDirectory() as folder,
        hospital(Path(folder)) as founded,
        pytest.MonkeyPatch.context() as environment,
    ):
        founded.settle(environment, Path(folder))
        yield founded


def _figure(founded: Hospital, form: Form) -> Figure:
    validator = founded.validator()
    told, time_left = facts(identity_type=3), context()
    name = gssapi.Name(SERVICE, gssapi.NameType.hostbased_service)
    store: dict[bytes | str, bytes | str] = {"keytab": f"FILE:{founded.keytab}", "rcache": "dfl:"}
    credentials = gssapi.Credentials(name=name, usage="accept", mechs=[gssapi.MechType.kerberos], store=store)

    def library(credential: Credential) -> None:
        acceptor = gssapi.SecurityContext(creds=credentials, usage="accept")
        acceptor.step(credential.primary_field)
        if not acceptor.complete or str(acceptor.initiator_name) != "alice@HOSPITAL.TEST":
            raise RuntimeError("the library refused a good ticket")

    return compare(
        f"Kerberos {form.value}, beside gss accept",
        lambda: _milliseconds(founded, form, lambda ticket: validator.validate(ticket, told, time_left)),
        lambda: _milliseconds(founded, Form.GSS, library),
        "ms",
        aim=RATIO,
        higher_is_better=False,
    )


def _milliseconds(founded: Hospital, form: Form, judge: Callable[[Credential], object]) -> float:
    """The mean of one call, each with a ticket of its own."""
    # A cache grown by earlier rounds would be searched longer.
    Path(os.environ["KRB5RCACHEDIR"], f"krb5_{os.geteuid()}.rcache2").unlink(missing_ok=True)
    tickets = [founded.ticket(framing=form.value) for _ in range(EFFORT.get().times(COUNT))]
    began = time.perf_counter()
    for ticket in tickets:
        judge(ticket)
    return 1000 * (time.perf_counter() - began) / len(tickets)
