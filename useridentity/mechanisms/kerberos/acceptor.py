"""The association acceptor's side: a KRB_AP_REQ in, a verified identity and the KRB_AP_REP out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from useridentity.credential import Credential, IdentityType
from useridentity.decision import Reason
from useridentity.errors import ConfigurationError, Refused, WireError
from useridentity.facts import Facts
from useridentity.identity import Assurance, Identity
from useridentity.mechanisms.kerberos.framing import ApReq, Form, answer_to, framed_ap_req, read_ap_req
from useridentity.mechanisms.kerberos.principals import GroupRules, PrincipalRules, own_realm, realm_of
from useridentity.mechanisms.kerberos.service import Proof, Service
from useridentity.mechanisms.ldap_settings import LdapSettings
from useridentity.mechanisms.username import presented_as
from useridentity.settings import Runtime
from useridentity.validator import CheckContext, Once, Verified

if TYPE_CHECKING:
    from useridentity.mechanisms.ldap_directory import Lookup


@dataclass(frozen=True, slots=True)
class KerberosSettings:
    """What a `[validator.NAME]` of type "kerberos" holds.

    Fields:
        service: who tickets must be for, `name@host` (RFC 2743 4.1). One name, although a keytab may
            have many, so that a ticket for another service of the host opens nothing here.
        keytab: the service's keys; a file of its own that only its owner may read.
        principals: an ordered list of `{match, user_id}`, see `PrincipalRules`. Default: the plain
            users of the service's own realm, called `user@REALM`, so that neither hosts nor users of
            a trusted realm get in unmentioned.
        groups: local groups by principal, matched as in `principals`; default none.
        directory: "ldaps://HOST", where the user's groups and name for people are looked up once the ticket is
            right; those of `groups` count as well. Default none, since not every realm has one.
        ldap: how users are found there: by `search_base` and `service_dn`; `{user}` is their user_id.
        forms: how a ticket may be sent. Default "raw" and "gss"; "spnego" has to be asked for: it
            is one more parser in reach of strangers, and PS3.7 does not provide for it.
    """

    service: str
    keytab: Path
    principals: tuple[Mapping[str, str], ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    directory: str = ""
    ldap: LdapSettings | None = None
    forms: tuple[Form, ...] = (Form.RAW, Form.GSS)

    def build(self, runtime: Runtime | None = None) -> KerberosValidator:
        """The validator; raises `ConfigurationError`, see there."""
        return KerberosValidator(self, name=runtime.name if runtime else "kerberos")


class KerberosValidator:
    """Association acceptor: a principal with a ticket for this service (PS3.7 D.3.3.7, PS3.15 B.6).

    Reads its keytab and replay cache and talks to no network. Raises `ConfigurationError` where the
    settings cannot work, the keytab is missing, open to others or without the service's key, and
    where replays would go unnoticed.
    """

    identity_type: int | None = IdentityType.KERBEROS
    assurance = Assurance.AUTHENTICATED
    cpu_short = False  # it waits for the lock of the replay cache

    def __init__(self, settings: KerberosSettings, *, name: str = "kerberos") -> None:
        self.name = name
        if not settings.forms:
            raise ConfigurationError("forms is empty, so that no ticket could be read")
        self._forms = frozenset(settings.forms)
        self._principals = PrincipalRules(settings.principals) if settings.principals else None
        self._groups = GroupRules(settings.groups)
        self._lookup = _lookup(settings)
        self._service = Service(settings.service, settings.keytab)
        self.issuers = frozenset({settings.service})  # whoever issues a ticket, it is for one service

    def validate(self, presented: Credential | None, facts: Facts, context: CheckContext) -> Verified:  # noqa: ARG002
        """The ticket's principal, AUTHENTICATED; raises `Refused`, or `Unavailable` where the library cannot work."""
        credential = presented_as(IdentityType.KERBEROS, presented)
        request = self._request(credential.primary_field)
        proof = self._service.accept(framed_ap_req(request.message))
        if proof.expires_at <= facts.now:
            raise Refused(Reason.CREDENTIAL_EXPIRED, f"the ticket of {proof.principal} ended {proof.expires_at}")
        if proof.answer is None and credential.positive_response_requested:
            raise Refused(
                Reason.CREDENTIAL_INVALID,
                "a positive response was requested with a ticket that does not ask for mutual authentication, or has "
                "no GSS-API checksum (RFC 4121 4.1.1): there is no server ticket to respond with (PS3.7 D.3.3.7.2)",
            )
        return Verified(
            self._identity(proof),
            server_response=None if proof.answer is None else answer_to(request, proof.answer),
            once=(Once(("kerberos", request.authenticator), proof.forget_at, proof.new_at),),
            expires_at=proof.expires_at,
        )

    def close(self) -> None:
        """End the connections to the directory that are kept."""
        if self._lookup:
            self._lookup.close()

    def _request(self, primary_field: bytes) -> ApReq:
        try:
            request = read_ap_req(primary_field)
        except WireError as error:
            raise Refused(Reason.MALFORMED, str(error)) from None
        if request.form not in self._forms:
            form = request.form.value
            raise Refused(Reason.CREDENTIAL_INVALID, f'the ticket came as "{form}", which is not among forms')
        return request

    def _identity(self, proof: Proof) -> Identity:
        principals = self._principals or own_realm(proof.service)
        user_id = principals.user_id(proof.principal)
        if user_id is None:
            raise Refused(Reason.NOT_AUTHORISED, f"no rule of principals matches {proof.principal}")
        known = self._lookup.find(user_id) if self._lookup else None
        return Identity(
            subject=proof.principal,
            user_id=user_id,
            issuer=realm_of(proof.principal),
            assurance=Assurance.AUTHENTICATED,
            identity_type=IdentityType.KERBEROS,
            display_name=known.display_name if known else "",
            groups=self._groups.groups(proof.principal) | (known.groups if known else frozenset()),
            claims=MappingProxyType({"service": proof.service, "auth_indicators": proof.indicators}),
            expires_at=proof.expires_at,
        )


def _lookup(settings: KerberosSettings) -> Lookup | None:
    if not settings.directory:
        if settings.ldap is not None:
            raise ConfigurationError('ldap: has no meaning without directory = "ldaps://HOST"')
        return None
    try:
        from useridentity.mechanisms.ldap_directory import Lookup
    except ModuleNotFoundError as missing:
        raise ConfigurationError(str(missing)) from None
    try:
        return Lookup(settings.directory, settings.ldap or LdapSettings())
    except ConfigurationError as error:
        raise ConfigurationError(problem.replace("store =", "directory =") for problem in error.problems) from None
