"""What a TLS handshake has verified of its client, and whether that still holds when something is decided by it."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

from useridentity.decision import Reason, Rejected
from useridentity.tls.reload import ServerTls


class TlsPeer(NamedTuple):
    """A requestor that showed a certificate.

    Fields:
        context: by which it was verified.
        certificate: DER.
        starts, ends: its dates, aware.
        subject: its subject, the last name first as in RFC 4514.
    """

    context: ssl.SSLContext
    certificate: bytes
    starts: datetime
    ends: datetime
    subject: str

    @classmethod
    def of(cls, connection: ssl.SSLSocket) -> Self | None:
        """Who is at the other end, after the handshake; None where it showed no certificate.

        Raises `ssl.SSLError`, as the handshake does over others, for a certificate that cannot be read.
        """
        certificate = connection.getpeercert(binary_form=True)
        if not certificate:
            return None
        try:
            found = connection.getpeercert() or {}
            dates = _date(found["notBefore"]), _date(found["notAfter"])
        except (ValueError, OverflowError) as error:  # OpenSSL verifies names that Python does not decode
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, f"the client certificate cannot be read: {error}") from error
        return cls(connection.context, certificate, *dates, _subject(found))

    def refusal(self, tls: ssl.SSLContext | ServerTls | None, now: datetime) -> Rejected | None:
        """Why the certificate does not hold for the acceptor's `tls` at `now`; None where it does.

        A session that was resumed was verified when it began, so the dates are looked at in any case. The
        rest was verified by the files of `context`: where others are in use by now, it is judged anew.
        """
        if not self.starts <= now <= self.ends:
            detail = f"the TLS client certificate does not hold now: it ends {self.ends.isoformat()}"
            return Rejected(Reason.CREDENTIAL_EXPIRED, detail)
        if not isinstance(tls, ServerTls) or tls.context() is self.context:
            return None
        objection = tls.objects(self.certificate, now)
        return Rejected(Reason.CREDENTIAL_INVALID, f"the TLS client certificate {objection}") if objection else None


_SHORT = {
    "commonName": "CN",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "localityName": "L",
    "stateOrProvinceName": "ST",
}


def _subject(certificate: Any) -> str:
    names = [f"{_SHORT.get(key, key)}={value}" for part in certificate.get("subject", ()) for key, value in part]
    return ",".join(reversed(names))


def _date(text: object) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(text)), UTC)
