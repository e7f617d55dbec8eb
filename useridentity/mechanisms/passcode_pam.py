"""A passcode store in the system's PAM: one service of /etc/pam.d, its `auth` and its `account` phase.

libpam is called by ctypes, since the packages for it take a passcode as text, hide which phase refused,
do not tell the name that PAM settled on, and open more than a check needs. A call into libpam cannot be
ended: one that hangs holds its thread until it returns, and the driver answers at its deadline.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, byref, c_char_p, c_int, c_size_t, c_uint, c_void_p
from pathlib import Path

from useridentity.decision import Reason
from useridentity.errors import ConfigurationError, Refused, Unavailable
from useridentity.mechanisms.passcode import User

SERVICES = Path("/etc/pam.d")

MAX_PASSCODE = 511
"""Bytes: PAM_MAX_RESP_SIZE less the NUL. Modules cut off what is longer, which would make it another passcode."""

# _pam_types.h of Linux-PAM; its ABI, so these do not change.
_SUCCESS, _BUF_ERR, _CONV_ERR = 0, 5, 19
_PROMPT_ECHO_OFF, _ERROR_MSG, _TEXT_INFO = 1, 3, 4
_SILENT, _DISALLOW_NULL_AUTHTOK = 0x8000, 0x0001
_ITEM_USER, _ITEM_FAIL_DELAY = 2, 10

_REFUSALS = {
    6: "permission denied",
    7: "wrong passcode",
    10: "unknown user",
    11: "too many tries",
    12: "the passcode has to be changed",
    13: "the account has ended",
    27: "the passcode has ended",
}
"""What PAM answers where it is the user's fault; anything else says nothing of the passcode: 8, say, that this process
has no right to look at it."""


class _Message(ctypes.Structure):
    _fields_ = (("style", c_int), ("text", c_char_p))


class _Response(ctypes.Structure):
    _fields_ = (("text", c_void_p), ("code", c_int))


_Converse = CFUNCTYPE(c_int, c_int, POINTER(POINTER(_Message)), POINTER(POINTER(_Response)), c_void_p)
_FailDelay = CFUNCTYPE(None, c_int, c_uint, c_void_p)


class _Conversation(ctypes.Structure):
    _fields_ = (("converse", _Converse), ("data", c_void_p))


# Modules ask for two seconds of sleep after a failure; four guesses would then stop every log-in.
_no_delay = _FailDelay(lambda _result, _microseconds, _data: None)


class PamStore:
    """The users of one PAM service, as an acceptor asks for them, from any number of threads.

    Whoever runs this must be able to use the service's modules: pam_unix checks other users' passcodes
    for root only.

    Raises `ConfigurationError` where there is no such service: PAM would take "other" in its place.
    """

    def __init__(self, service: str) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", service):
            raise ConfigurationError(f'store = "pam:{service}": a service is named by a file in {SERVICES}')
        if not (SERVICES / service).is_file():
            raise ConfigurationError(f'{SERVICES / service}: No such file, so PAM would ask the service "other"')
        self.service = service
        self._library = _libraries()

    def __repr__(self) -> str:
        return f"PamStore({self.service!r})"

    def verify(self, username: str, passcode: bytes) -> User:
        """The user of this name, where the passcode is theirs and the account may be used.

        Raises `Refused` (CREDENTIAL_INVALID), and `Unavailable` where PAM does not tell. How long a refusal
        takes is the service's own doing.
        """
        if "\0" in username:
            raise Refused(Reason.CREDENTIAL_INVALID, "a username with NUL would be another one to PAM")
        if not passcode or b"\0" in passcode or len(passcode) > MAX_PASSCODE:
            detail = f"PAM takes a passcode of 1 to {MAX_PASSCODE} bytes without NUL"
            raise Refused(Reason.CREDENTIAL_INVALID, detail)
        pam, libc = self._library
        answer = _answering(libc, passcode)
        conversation = _Conversation(answer, None)
        with self._transaction(username.encode(), conversation) as handle:
            flags = _SILENT | _DISALLOW_NULL_AUTHTOK
            self._require("auth", pam.pam_authenticate(handle, flags))
            self._require("account", pam.pam_acct_mgmt(handle, flags))
            return User(self._user(handle))

    @contextmanager
    def _transaction(self, username: bytes, conversation: _Conversation) -> Iterator[c_void_p]:
        pam, _ = self._library
        handle = c_void_p()
        result = pam.pam_start(self.service.encode(), username, byref(conversation), byref(handle))
        if result != _SUCCESS:
            raise Unavailable(f"PAM service {self.service} cannot be started: error {result}")
        try:
            pam.pam_set_item(handle, _ITEM_FAIL_DELAY, ctypes.cast(_no_delay, c_void_p))
            yield handle
        finally:
            pam.pam_end(handle, _SUCCESS)

    def _require(self, phase: str, result: int) -> None:
        if result == _SUCCESS:
            return
        if result in _REFUSALS:
            raise Refused(Reason.CREDENTIAL_INVALID, f"PAM service {self.service}, {phase}: {_REFUSALS[result]}")
        words = self._library[0].pam_strerror(None, result).decode("utf-8", "replace")
        raise Unavailable(f"PAM service {self.service}, {phase}: {words}")

    def _user(self, handle: c_void_p) -> str:
        """The name that the modules settled on, which may differ from the one that was sent."""
        name = c_char_p()
        result = self._library[0].pam_get_item(handle, _ITEM_USER, byref(name))
        if result != _SUCCESS or not name.value:
            raise Unavailable(f"PAM service {self.service} does not say who the user is")
        return name.value.decode("utf-8")


def _answering(libc: ctypes.CDLL, passcode: bytes) -> _Converse:  # type: ignore[valid-type]
    """A conversation that answers a passcode prompt, once, takes note of nothing, and ends at any other question."""
    unused = [passcode]

    def answer(style: int) -> bytes | None:
        if style == _PROMPT_ECHO_OFF and unused:
            return unused.pop()
        return b"" if style in (_ERROR_MSG, _TEXT_INFO) else None

    def converse(count: int, messages: object, responses: object, _data: object) -> int:
        try:
            return filled_in(count, messages, responses)
        except BaseException:  # noqa: BLE001  ctypes would answer 0 for it, which is PAM_SUCCESS
            return _CONV_ERR

    def filled_in(count: int, messages: object, responses: object) -> int:
        answers = [answer(messages[index].contents.style) for index in range(count)]  # type: ignore[index]
        if None in answers:
            return _CONV_ERR
        # PAM frees what it is given, so it is made by the C library.
        filled = libc.calloc(count, ctypes.sizeof(_Response))
        if not filled:
            return _BUF_ERR
        for response, text in zip((_Response * count).from_address(filled), answers, strict=True):
            response.text = libc.strdup(text) if text else None
        responses[0] = ctypes.cast(filled, POINTER(_Response))  # type: ignore[index]
        return _SUCCESS

    return _Converse(converse)


def _libraries() -> tuple[ctypes.CDLL, ctypes.CDLL]:
    """libpam and the C library; ctypes lets go of Python's lock for each call."""
    try:
        pam, libc = ctypes.CDLL("libpam.so.0"), ctypes.CDLL(None)
    except OSError as error:
        raise ConfigurationError(f"PAM needs libpam.so.0 (Debian: libpam0g): {error}") from error
    pam.pam_start.argtypes = (c_char_p, c_char_p, POINTER(_Conversation), POINTER(c_void_p))
    pam.pam_authenticate.argtypes = pam.pam_acct_mgmt.argtypes = pam.pam_end.argtypes = (c_void_p, c_int)
    pam.pam_set_item.argtypes = (c_void_p, c_int, c_void_p)
    pam.pam_get_item.argtypes = (c_void_p, c_int, POINTER(c_char_p))
    pam.pam_strerror.argtypes, pam.pam_strerror.restype = (c_void_p, c_int), c_char_p
    libc.calloc.argtypes, libc.calloc.restype = (c_size_t, c_size_t), c_void_p
    libc.strdup.argtypes, libc.strdup.restype = (c_char_p,), c_void_p
    return pam, libc
