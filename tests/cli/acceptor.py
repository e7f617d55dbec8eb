"""An acceptor in a process of its own that reloads on signals: `python -m tests.cli.acceptor FOLDER`.

Prints its port; logs to standard error; ends with its input.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from useridentity.pynetdicom import AE, reload_on_signals
from useridentity.tls.reload import ServerTls


def main(folder: Path) -> None:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    ae = AE("ARCHIVE")
    ae.maximum_associations = 50
    ae.add_supported_context(Verification)
    files = [folder / name for name in ("server.pem", "server.key")]
    tls = ServerTls(*files, client_ca=folder / "ca.pem", crl=folder / "ca.crl")
    server = ae.start_server(("127.0.0.1", 0), block=False, ssl_context=tls, policy=folder / "identity.toml")
    assert server is not None
    reload_on_signals(server)
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    ae.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
