"""The adapter for pynetdicom: its application entity, guarded."""

from useridentity.pynetdicom.ae import AE, identity_of, outcome_of
from useridentity.pynetdicom.requestor import Outcome, OutcomeKind
from useridentity.pynetdicom.server import GuardedServer

__all__ = ["AE", "identity_of", "outcome_of", "Outcome", "OutcomeKind", "GuardedServer"]
