"""One room per form of identity: the association requestor's side and the acceptor's, together."""
