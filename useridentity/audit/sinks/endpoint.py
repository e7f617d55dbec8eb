"""One address that takes records: https, or http to a collector on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from useridentity.audit.sinks.sink import Undelivered
from useridentity.https import Answer, Connection, Limits, NoAnswer
from useridentity.tls.client import Tls

SECONDS = 30.0
"""From connecting to the last octet of the answer: a slow repository stores a batch in a few."""

MAX_ANSWER = 4 * 1024 * 1024
"""Octets of an answer: a FHIR server may send back what it stored, some hundred events of some KB."""


class Endpoint:
    """Posts to `url`, over plain http where there is no `tls`, which is asked for a context each time.

    `authorization` is asked for the header of that name each time too, so that a token can be renewed.
    """

    def __init__(
        self,
        url: str,
        tls: Tls | None = None,
        authorization: Callable[[], str] = lambda: "",
    ) -> None:
        self.url = url
        self._connection = Connection(url, tls)
        self._authorization = authorization

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """The answer, whatever its status; raises `Undelivered` where there is none within `SECONDS`.

        It may be posted twice (`https.Connection`); who got it twice knows it by the event id.
        """
        authorization = self._authorization()
        header = {"Authorization": authorization} if authorization else {}
        try:
            return self._connection.exchange(body, {**headers, **header}, Limits(SECONDS, MAX_ANSWER))
        except NoAnswer as error:
            raise Undelivered(str(error)) from None

    def close(self) -> None:
        self._connection.close()
