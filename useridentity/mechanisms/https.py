"""One request to an identity provider, within a time and a size whatever it answers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from http import HTTPStatus
from typing import Any

from useridentity.errors import ConfigurationError
from useridentity.https import Answer, Connection, Limits, NoAnswer, check_url
from useridentity.mechanisms.strict_json import Malformed, json_object
from useridentity.tls.client import Tls

REQUEST_SECONDS = 3.0
"""From connecting to the last octet. Identity providers answer in a tenth of a second."""

MAX_RESPONSE = 1024 * 1024
"""Octets; metadata, key sets and token responses have a few thousand."""


class FetchFailed(Exception):
    """What went wrong with a request, in words that hold nothing of what was sent."""


def get_json(url: str, tls: Tls) -> dict[str, Any]:
    """The JSON object at `url`; raises `FetchFailed`."""
    try:
        return json_object(get(url, tls))
    except Malformed as malformed:
        problem = str(malformed)
    raise FetchFailed(f"{url}: {problem}")


def get(url: str, tls: Tls) -> bytes:
    """The content at `url`; raises `FetchFailed`."""
    answer = request(url, tls)
    if answer.status != HTTPStatus.OK:
        raise FetchFailed(f"{url}: answered with status {answer.status}")
    return answer.body


def request(url: str, tls: Tls, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Answer:
    """The answer to a GET, or to a POST where there is a `body`, that is no redirect; raises `FetchFailed`.

    The name of the host is looked up by the system, which may take longer than `REQUEST_SECONDS`; nothing waits for
    that but the thread that asks.
    """
    sent = {"Accept": "application/json", "Connection": "close", **(headers or {})}
    try:
        with closing(Connection(check_url(url), tls)) as to:
            answer = to.exchange(body, sent, Limits(REQUEST_SECONDS, MAX_RESPONSE))
    except (ConfigurationError, NoAnswer) as error:
        raise FetchFailed(str(error)) from None
    if answer.is_redirect:
        raise FetchFailed(f"{url}: answered with a redirect, which is not followed; configure where it leads to")
    return answer
