"""What of an association's negotiation follows from the decision about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pynetdicom import _config, evt
from pynetdicom.acse import ACSE
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.presentation import negotiate_as_acceptor, negotiate_unrestricted

from useridentity.decision import Rejected
from useridentity.pynetdicom.contexts import Contexts
from useridentity.pynetdicom.scoped.models import MODELS

if TYPE_CHECKING:
    from useridentity.pynetdicom.acceptor import AcceptorAssociation


class GuardedACSE(ACSE):
    """The part of association negotiation that follows a decision."""

    assoc: AcceptorAssociation

    def negotiate_association(self) -> None:
        """Negotiation is the association's; a handler that calls this gets nowhere."""
        raise RuntimeError("the policy negotiates this association")

    def accept(self, server_response: bytes | None, contexts: Contexts) -> None:
        """Negotiate what is left as pynetdicom does, and send the A-ASSOCIATE-AC."""
        if server_response is not None:
            item = UserIdentityNegotiation()
            item.server_response = server_response
            self.acceptor.add_negotiation_item(item)
        for extended in self._check_sop_class_extended():
            # Unanswered is not supported (PS3.7 D.3.3.5): no relational queries and no fuzzy matching under a scope.
            if self.assoc.scoping is None or extended.sop_class_uid not in MODELS:
                self.acceptor.add_negotiation_item(extended)
        self.acceptor._common_ext = self._check_sop_class_common_extended()
        if self.requestor.asynchronous_operations != (1, 1):
            window = self._check_async_ops()
            if window is not None:
                self.acceptor.add_negotiation_item(window)
        self._take(contexts)
        if self.assoc.is_aborted:  # by one of the handlers just called
            return
        # Before the peer can know: pynetdicom drops its own answer to an N-EVENT-REPORT that comes any earlier.
        self.assoc.is_established = True
        self.send_accept()
        evt.trigger(self.assoc, evt.EVT_ACCEPTED, {})
        if self.assoc.is_aborted:
            return
        evt.trigger(self.assoc, evt.EVT_ESTABLISHED, {})

    def reject(self, rejected: Rejected) -> None:
        """Send the A-ASSOCIATE-RJ that `rejected` stands for."""
        self.send_reject(*rejected.answer)
        evt.trigger(self.assoc, evt.EVT_REJECTED, {})

    def negotiate_contexts(self) -> Contexts:
        """What of the presentation contexts this acceptor can accept, whoever asks."""
        negotiate = negotiate_unrestricted if _config.UNRESTRICTED_STORAGE_SERVICE else negotiate_as_acceptor
        roles = {uid: (item.scu_role, item.scp_role) for uid, item in self.requestor.role_selection.items()}
        return Contexts(*negotiate(self.requestor.requested_contexts, self.acceptor.supported_contexts, roles))

    def _take(self, contexts: Contexts) -> None:
        self.assoc._accepted_cx = {cx.context_id: cx for cx in contexts.accepted if cx.context_id is not None}
        self.assoc._rejected_cx = [cx for cx in contexts.results if cx.result != 0]
        for item in contexts.role_items:
            self.acceptor.add_negotiation_item(item)
