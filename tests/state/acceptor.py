"""An acceptor in a process of its own: `python -m tests.state.acceptor POLICY` prints its port, ends with its input."""

from __future__ import annotations

import sys

from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from useridentity.pynetdicom import AE


def main(policy: str) -> None:
    ae = AE("ARCHIVE")
    ae.add_supported_context(Verification)
    server = ae.start_server(("127.0.0.1", 0), block=False, policy=policy)
    assert server is not None
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
