"""`useridentity demo`: a storage SCP behind a policy, peers that try to get in, and what became of each."""

from __future__ import annotations


def demo() -> None:
    """Run a guarded archive here, and show what peers get who try to store.

    Needs no network, leaves nothing behind and takes a few seconds.
    """
    # Here, and not for every command that only wants the module: pynetdicom takes half a second to import.
    from useridentity.cli.demo.show import show

    show()
