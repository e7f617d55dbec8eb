"""Who took part in an event: the user as PS3.15 A.5.2.1 to A.5.2.4 name people, and the two processes."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from useridentity.audit.codes import Code
from useridentity.audit.message.model import AccessPoint, AccessPointType, Participant, known
from useridentity.audit.message.style import MessageStyle
from useridentity.audit.record import Acceptor, Requestor, User
from useridentity.credential import IdentityType

_UNPROVED = ("", "unproved")
"""Assurances of nobody: what is recorded beside them is a peer's claim, or nothing."""

_FEDERATED = (IdentityType.SAML, IdentityType.JWT)


def user_participant(user: User, style: MessageStyle, point: AccessPoint | None = None) -> Participant | None:
    """The user who was proved, else the one who was claimed, else None; not yet as requestor."""
    if is_proved(user):
        roles = tuple(style.role(group) for group in user.groups if group)
        return Participant(
            login(user), user.subject, _user_name(user, style), roles=roles, access_point=point, is_user=True
        )
    if user.identity_type is not None:
        return Participant(known(user.presented), access_point=point, is_user=True)
    return None


def is_proved(user: User) -> bool:
    """Whether there is a user that somebody vouches for."""
    return bool(user.subject) and user.assurance not in _UNPROVED


def login(user: User) -> str:
    """loginName@domain-name (A.5.2.1); of a machine its name."""
    domain = _domain(user.issuer)
    if "@" in user.user_id or user.kind == "node" or not domain:
        return known(user.user_id)
    return f"{user.user_id}@{domain}"


def requestor_process(requestor: Requestor, *roles: Code) -> Participant:
    """The association requestor, by its AE title and address."""
    address = access_point(requestor.address)
    name = known(requestor.ae_title or requestor.address)
    return Participant(name, ae_titles(requestor.ae_title), requestor.certificate, roles=roles, access_point=address)


def acceptor_process(acceptor: Acceptor, *roles: Code) -> Participant:
    """This process, by its id, which is also in the system's own logs and in the syslog header."""
    here = access_point(acceptor.host or acceptor.address)
    process = str(acceptor.process) if acceptor.process else known(acceptor.ae_title)
    return Participant(process, ae_titles(acceptor.ae_title), "useridentity", roles=roles, access_point=here)


def destination_process(ae_title: str, address: str, *roles: Code) -> Participant:
    """Where a C-MOVE sent instances to."""
    return Participant(known(ae_title), ae_titles(ae_title), roles=roles, access_point=access_point(address))


def ae_titles(*titles: str) -> str:
    """AlternativeUserID of a DICOM application (A.5.2.2); no title can make itself two."""
    several = ";".join(title.replace(";", "\\x3b") for title in titles if title)
    return f"AETITLES={several}" if several else ""


def access_point(name: str) -> AccessPoint | None:
    """The network access point of an address or host name."""
    if not name:
        return None
    try:
        ip_address(name)
    except ValueError:
        return AccessPoint(AccessPointType.MACHINE_NAME, name)
    return AccessPoint(AccessPointType.IP_ADDRESS, name)


def _user_name(user: User, style: MessageStyle) -> str:
    """The person's name, or IHE's alias<user@issuer>; the two rules exclude each other."""
    if style.user_name == "ihe" and user.identity_type in _FEDERATED:
        alias = next(iter(user.attributes.get("alias", ())), "")
        return f"{alias}<{user.user_id}@{user.issuer}>"
    return user.display_name


def _domain(issuer: str) -> str:
    """The domain in an issuer: the host of its URL, a realm, the name of a validator."""
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", issuer):
        return issuer
    try:
        return urlsplit(issuer).hostname or issuer
    except ValueError:
        return issuer
