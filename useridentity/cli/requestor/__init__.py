"""What the requestor's commands share: the peer, the identity, the association, the outcome and its output."""
