"""A server in place of pynetdicom's: the same arguments, return values and behaviour."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]
from pynetdicom.transport import AssociationServer, ThreadedAssociationServer

from tests.lib.certificates import Certificates
from tests.lib.pdus import user_identity
from tests.lib.rawpeer import HANG, RawPeer
from tests.pynetdicom.support import Acceptor, establish, requestor, until, usual_policy
from useridentity import ConfigurationError, Facts, Policy, Rejected, Tls, Username
from useridentity.policy import Checks
from useridentity.pynetdicom import AE, GuardedServer
from useridentity.tls import client_context, server_context

Accept = Callable[..., Acceptor]

ALICE = user_identity(1, b"alice")
LOCAL = ("127.0.0.1", 0)


def served(port: int, host: Any = "127.0.0.1", **arguments: Any) -> bool:
    """Whether alice gets a C-ECHO through."""
    assoc = requestor().associate(host, port, identity=Username("alice"), **arguments)
    if not assoc.is_established:
        return False
    status = assoc.send_c_echo().Status
    assoc.release()
    return bool(status == 0)


def test_a_server_that_does_not_block_is_returned(ae: AE) -> None:
    server = ae.start_server(LOCAL, block=False, policy=usual_policy())
    assert isinstance(server, ThreadedAssociationServer)
    assert isinstance(server, GuardedServer)
    assert served(server.server_address[1])
    server.shutdown()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(server.server_address[:2])


def test_a_server_that_blocks_returns_none_when_its_ae_is_shut_down(ae: AE) -> None:
    returned: list[object] = []
    thread = threading.Thread(target=lambda: returned.append(ae.start_server(LOCAL, policy=usual_policy())))
    thread.start()
    until(lambda: ae._servers)
    assert served(ae._servers[0].server_address[1])
    ae.shutdown()
    thread.join(HANG)
    assert returned == [None]
    assert ae._servers == []


def test_arguments_are_pynetdicoms_in_pynetdicoms_order(ae: AE, certificates: Certificates) -> None:
    seen: list[str] = []
    handlers: list[evt.EventHandlerType] = [(evt.EVT_ESTABLISHED, lambda event, note: seen.append(note), ["noted"])]
    context = server_context(*certificates.server)
    server = ae.start_server(
        LOCAL, False, context, handlers, "OTHER", [build_context(CTImageStorage)], policy=usual_policy()
    )
    assert server is not None
    ae.require_called_aet = True
    assoc = requestor(CTImageStorage, Verification).associate(
        "127.0.0.1", server.server_address[1], ae_title="OTHER", identity=Username("alice"),
        tls_args=(client_context(certificates.ca), "127.0.0.1"),
    )  # fmt: skip
    assert [context.abstract_syntax for context in assoc.accepted_contexts] == [CTImageStorage]
    assoc.release()
    assert seen == ["noted"]


def test_ipv6_is_served_and_judged_as_ipv6(accept: Accept) -> None:
    acceptor = accept(address=("::1", 0))
    assert served(acceptor.port, "::1")
    assert served(acceptor.port, ("::1", 0, 0))
    with RawPeer(acceptor.port, host="::1") as peer:
        establish(peer, ALICE)
        assert acceptor.server.active_associations[0].requestor.address == "::1"


@pytest.mark.threat("T7")
def test_an_ipv4_peer_of_an_ipv6_server_is_judged_as_ipv4(accept: Accept) -> None:
    asked: list[Any] = []
    policy = usual_policy()
    acceptor = accept(policy, address=("::", 0))
    plan = policy.plan

    def noted(facts: Facts) -> Rejected | Checks:
        asked.append(facts.address)
        return plan(facts)

    acceptor.server.driver.policy.plan = noted  # type: ignore[method-assign]
    assert served(acceptor.port)
    assert [str(address) for address in asked] == ["127.0.0.1"]


def test_mutual_tls_is_known_to_the_policy(accept: Accept, certificates: Certificates) -> None:
    from useridentity import Rule, UsernameValidator, When

    policy = Policy([Rule([UsernameValidator()], When(tls=Tls.MUTUAL))])
    optional = server_context(*certificates.server)
    required = server_context(*certificates.server, client_ca=certificates.ca)
    anonymous = (client_context(certificates.ca), "127.0.0.1")
    named = (client_context(certificates.ca, *certificates.client), "127.0.0.1")
    assert served(accept(policy, tls=required).port, tls_args=named)
    assert not served(accept(policy, tls=required).port, tls_args=anonymous)
    assert not served(accept(policy, tls=optional).port, tls_args=anonymous)
    assert not served(accept(policy).port)


def test_make_server_makes_one_that_can_be_run_and_shut_down(ae: AE) -> None:
    server = ae.make_server(LOCAL, policy=usual_policy())
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    assert served(server.server_address[1])
    server.shutdown()
    thread.join(HANG)
    assert not thread.is_alive()


@pytest.mark.parametrize("server_class", [AssociationServer, ThreadedAssociationServer])
def test_a_server_class_that_would_let_everybody_in_is_refused(ae: AE, server_class: Any) -> None:
    with pytest.raises(ConfigurationError, match="GuardedServer"):
        ae.make_server(LOCAL, server_class=server_class, policy=usual_policy())
    with pytest.raises(TypeError):
        ae.make_server(LOCAL, policy=usual_policy(), request_handler=object)


def test_a_server_class_of_ones_own_is_guarded_too(ae: AE) -> None:
    class Own(GuardedServer):
        pass

    server = ae.make_server(LOCAL, server_class=Own, policy=usual_policy())
    assert type(server) is Own
    server.server_close()


@pytest.mark.threat("T1")
def test_without_a_policy_no_server_starts(ae: AE) -> None:
    nothing: tuple[Any, ...] = (None, True, "", {})
    for policy in nothing:
        with pytest.raises(ConfigurationError):
            ae.start_server(LOCAL, block=False, policy=policy)
    with pytest.raises(ConfigurationError, match="unguarded"):
        ae.make_server(LOCAL)
    assert ae._servers == []


def test_a_policy_may_be_the_path_of_its_file(ae: AE, tmp_path: Path) -> None:
    path = tmp_path / "identity.toml"
    path.write_text('version = 1\n[validator.names]\ntype = "username"\n[[authenticate]]\naccept = ["names"]\n')
    for policy in (path, str(path)):
        server = ae.start_server(LOCAL, block=False, policy=policy)
        assert server is not None
        assert served(server.server_address[1])
        server.shutdown()


def test_an_unguarded_server_serves_whoever_comes(accept: Accept) -> None:
    assoc = requestor().associate("127.0.0.1", accept(Policy.unguarded()).port)
    assert assoc.send_c_echo().Status == 0
    assoc.release()


def test_every_supported_context_can_be_negotiated_and_stays_the_servers_own(accept: Accept) -> None:
    contexts = [build_context(Verification), build_context(CTImageStorage)]

    def drop(event: evt.Event) -> None:
        event.assoc.acceptor.supported_contexts = event.assoc.acceptor.supported_contexts[:1]

    acceptor = accept(contexts=contexts, handlers=[(evt.EVT_REQUESTED, drop)])
    assoc = requestor(Verification, CTImageStorage).associate("127.0.0.1", acceptor.port, identity=Username("alice"))
    assert [context.abstract_syntax for context in assoc.accepted_contexts] == [Verification]
    assoc.release()
    assert len(acceptor.server.contexts) == 2
