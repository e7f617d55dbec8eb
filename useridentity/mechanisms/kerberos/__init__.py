"""User-Identity-Type 3, a Kerberos service ticket: sent by `Kerberos`, judged by `KerberosValidator`.

The primary field is a KRB_AP_REQ, the server response a KRB_AP_REP (PS3.7 D.3.3.7 by way of RFC 1510
5.5, now RFC 4120 5.5). Rooms: `der` and `framing` read what a peer sent, `gss` and `service` are all
that touches the library, `principals` says who a principal is here, `requestor` and `acceptor` are
the two sides.
"""

from useridentity.mechanisms.kerberos.acceptor import KerberosSettings, KerberosValidator
from useridentity.mechanisms.kerberos.framing import Form
from useridentity.mechanisms.kerberos.requestor import Kerberos, KerberosOffer

__all__ = ["Kerberos", "KerberosOffer", "KerberosSettings", "KerberosValidator", "Form"]
