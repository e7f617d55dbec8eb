"""Penalties: what guessing costs whoever guesses, without a thread that sleeps or a user who is locked out.

Every wrong credential is a debt, of where it came from and of the account it was for. Debts are forgiven
one after another; up to a few nothing happens, and each beyond doubles the time for which no more is
listened to. So who guesses for long gets one guess for each time that one debt takes to be forgiven.
"""

from __future__ import annotations

import hmac
import json
import logging
import secrets
import threading
import unicodedata
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from useridentity.credential import Credential, IdentityType
from useridentity.facts import peer_address
from useridentity.state import Debt, Kind, Ledger
from useridentity.state.books import Book, Shared
from useridentity.state.keys import digest
from useridentity.state.limits import PenaltyLimits

LOGGER = logging.getLogger("useridentity.state")

Address = IPv4Address | IPv6Address

IPV6_SITE = 48
"""Bits of an IPv6 address that tell sites apart (RFC 6177): whoever has one address has the rest of them."""

MAX_REMEMBERED = 65_536
"""Wrong credentials, and sources let through for one more try, remembered at once; about 10 MB each."""

AGAIN = 5.0
"""Seconds for which a wrong credential is wrong without being checked: who repeats one is not penalised, and
must not keep the processor busy either. A passcode that was just changed is good after as long."""

GREATEST_DOUBLING = 32.0
"""Doublings of `shortest`, which make 272 years of two seconds: `longest` has held by then."""

NEVER = float("-inf")
"""When something was wrong for certain that was not."""

MAX_NAME = 256
"""Octets of a name that tell accounts apart: no username is longer (`mechanisms.username`). Normalising takes time with
the square of a run of accents, and holds Python's lock: seconds, for the 64 KiB that a peer may send."""

MAX_LABEL = 64
"""Characters of a name in a log line: enough to recognise it, too few to flood a log."""


class Penalties:
    """Counts wrong credentials and says who has to wait. Safe to use from many threads; it never waits itself.

    Debts are kept in `shared`, the ledger of a store, where there is one, and in a bounded ledger of this
    process where that cannot be reached. Sources are judged by what this process knows, which learns what
    the others know of one when it charges it: who accepts connections must not wait for a server. `limits` may be
    replaced; debts stay what they are.
    """

    def __init__(self, limits: PenaltyLimits | None = None, shared: Ledger | None = None) -> None:
        self.limits = limits or PenaltyLimits()
        reached = Shared(shared)
        self._sources, self._accounts = Book(Kind.SOURCE, reached), Book(Kind.ACCOUNT, reached)
        self._good = Book(Kind.GOOD, reached)
        self._lock = threading.Lock()
        self._let_through = _Recent()
        self._wrong = _Recent()
        self._key = secrets.token_bytes(32)

    def digest(self, credential: Credential, context: str = "") -> bytes:
        """What is remembered of a wrong credential: an HMAC with a key that this process never shows.

        `context` names what it was wrong for, such as the rule: elsewhere the same may be right.
        """
        fields = [context.encode(), credential.primary_field, credential.secondary_field]
        message = b"".join(len(each).to_bytes(8) + each for each in fields)
        return hmac.digest(self._key, bytes([credential.identity_type]) + message, "sha256")

    def refuses_source(self, address: Address, now: datetime) -> bool:
        """Whether a connection from `address` is to be closed at accept. Never waits.

        Once a delay is over one connection is let through, and the next after as long again: many at
        once must not be many guesses.
        """
        if self._is_exempt(address):
            return False
        bucket, at = self._source_bucket(address), now.timestamp()
        return self._refuses(bucket, bucket.book.known(bucket.key, at), at)

    def refuses_account(self, account: str, address: Address, now: datetime) -> bool:
        """Whether a credential for `account` is to be refused unseen with (2,3,2); one at a time, as above."""
        if self._is_exempt(address):
            return False
        at = now.timestamp()
        bucket = self._account_bucket(account, address, at)
        return self._refuses(bucket, bucket.book.debt(bucket.key, at), at)

    def just_failed(self, address: Address, credential_digest: bytes, now: datetime) -> bool:
        """Whether the same was wrong, from the same source, less than `AGAIN` seconds ago."""
        with self._lock:
            last = self._wrong.time_of(self._source_bucket(address).key + credential_digest)
        return last is not None and abs(now.timestamp() - last) < AGAIN

    def failed(
        self,
        address: Address,
        account: str | None,
        credential_digest: bytes,
        now: datetime,
        *,
        certain: bool = True,
    ) -> None:
        """A credential was wrong; the same one again counts once, for its source and for its account.

        Where another validator could not tell, this is not `certain`: it counts, since who keeps that
        validator busy would guess for free, but is checked when it comes again.
        """
        if self._is_exempt(address):
            return
        at = now.timestamp()
        buckets = [self._source_bucket(address)]
        if account is not None:
            buckets.append(self._account_bucket(account, address, at))
        for bucket in buckets:
            if self._is_new(bucket.key + credential_digest, at if certain else NEVER):
                self._charge(bucket, at)

    def succeeded(self, address: Address, account: str, now: datetime) -> None:
        """`account` was proved: its source is good for it, and what was mistyped there is forgiven.

        Nothing is forgiven to the source or to strangers: who has one account could guess at others.
        """
        if self._is_exempt(address):
            return
        at, source = now.timestamp(), source_of(address)
        good = digest(["good", account, source])
        known = self._debt_of_good(good, at)
        if known is None or known.until - at < self.limits.good_for:
            self._good.charge(good, at, self.limits.good_for)
        mistyped = digest(["account", account, source])
        if self._accounts.known(mistyped, at):
            self._accounts.forgive(mistyped, at)

    def _is_exempt(self, address: Address) -> bool:
        address = peer_address(str(address))
        return any(address in network for network in self.limits.exempt)

    def _source_bucket(self, address: Address) -> _Bucket:
        source, limits = source_of(address), self.limits
        return _Bucket(self._sources, digest(["source", source]), limits.source_free, limits.source_forgive, source)

    def _account_bucket(self, account: str, address: Address, at: float) -> _Bucket:
        """A source that was good for the account has a debt of its own: what strangers do never shuts it out."""
        source, limits = source_of(address), self.limits
        own = self._debt_of_good(digest(["good", account, source]), at) is not None
        key = digest(["account", account, source] if own else ["account", account])
        return _Bucket(self._accounts, key, limits.account_free, limits.account_forgive, account)

    def _debt_of_good(self, key: bytes, at: float) -> Debt | None:
        return self._good.known(key, at) or self._good.debt(key, at)

    def _refuses(self, bucket: _Bucket, debt: Debt | None, at: float) -> bool:
        delay = self._delay(bucket, debt) if debt else 0.0
        if debt is None or not delay:
            return False
        with self._lock:
            last = max(debt.last, self._let_through.time_of(bucket.key) or debt.last)
            # Either way: a clock that was set back must not make anybody wait for as long.
            if abs(at - last) < delay:
                return True
            self._let_through.note(bucket.key, at)
        return False

    def _is_new(self, wrong: bytes, at: float) -> bool:
        with self._lock:
            known = self._wrong.time_of(wrong)
            self._wrong.note(wrong, at)
        return known is None

    def _charge(self, bucket: _Bucket, at: float) -> None:
        delay = self._delay(bucket, bucket.book.charge(bucket.key, at, bucket.forgive))
        if delay:
            LOGGER.warning("penalty for=%s seconds=%.0f", json.dumps(bucket.label[:MAX_LABEL]), delay)

    def _delay(self, bucket: _Bucket, debt: Debt) -> float:
        """Seconds from the last failure in which no more is listened to, zero where it still costs nothing."""
        beyond = (debt.until - debt.last) / bucket.forgive - bucket.free
        if beyond <= 0:
            return 0.0
        return min(self.limits.longest, self.limits.shortest * 2 ** min(beyond - 1, GREATEST_DOUBLING))


@dataclass(frozen=True, slots=True)
class _Bucket:
    """What is charged together: a source, an account from strangers, or an account from one good source."""

    book: Book
    key: bytes
    free: int
    forgive: float
    label: str


class _Recent:
    """The times of what happened last; of too many the longest ago is forgotten."""

    def __init__(self) -> None:
        self._times: OrderedDict[bytes, float] = OrderedDict()

    def time_of(self, key: bytes) -> float | None:
        return self._times.get(key)

    def note(self, key: bytes, at: float) -> None:
        self._times[key] = at
        self._times.move_to_end(key)
        if len(self._times) > MAX_REMEMBERED:
            self._times.popitem(last=False)


def source_of(address: Address) -> str:
    """The network that is charged for `address`: an IPv4 address, mapped or not, or an IPv6 site."""
    peer = peer_address(str(address))
    return str(peer) if isinstance(peer, IPv4Address) else str(IPv6Network((peer, IPV6_SITE), strict=False))


def account_of(credential: Credential) -> str | None:
    """The account whose passcode `credential` may guess; None for other types, which nobody guesses.

    Folded as the most lenient directories do (RFC 4518; Active Directory, which ignores accents, strokes and the kind
    of kana too: MS-ADTS 6.5), so that "Alíce" is no second chance at "alice". Accounts that a stricter store tells
    apart share their penalties.
    """
    if credential.identity_type != IdentityType.USERNAME_PASSCODE:
        return None
    sent = credential.primary_field[:MAX_NAME].decode("utf-8", "replace")
    name = unicodedata.normalize("NFKD", sent).casefold()
    letters = map(_bare, unicodedata.normalize("NFKD", name))
    return " ".join("".join(letters).replace("\0", " ").split())


def _bare(letter: str) -> str:
    """A letter without what its name in Unicode says that it is with, hiragana for katakana; of an accent nothing."""
    if unicodedata.combining(letter):
        return ""
    name = unicodedata.name(letter, "").partition(" WITH ")[0].replace("KATAKANA", "HIRAGANA")
    try:
        return unicodedata.lookup(name)
    except KeyError:
        return letter
