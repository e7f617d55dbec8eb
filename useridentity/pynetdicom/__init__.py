"""The adapter for pynetdicom: its application entity, guarded."""

from useridentity.pynetdicom.ae import AE, identity_of, outcome_of, permission_of, scope_of
from useridentity.pynetdicom.requestor import Outcome, OutcomeKind
from useridentity.pynetdicom.server import GuardedServer
from useridentity.pynetdicom.signals import reload_on_signals

__all__ = [
    "AE",
    "identity_of",
    "outcome_of",
    "permission_of",
    "scope_of",
    "Outcome",
    "OutcomeKind",
    "GuardedServer",
    "reload_on_signals",
]
