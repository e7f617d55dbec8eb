"""Stock pynetdicom as the judge of `useridentity.wire`: what must hold of any bytes at all."""

from __future__ import annotations

import warnings

from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_items import UserIdentitySubItemAC, UserIdentitySubItemRQ
from pynetdicom.pdu_primitives import A_ASSOCIATE

from useridentity.credential import Credential
from useridentity.errors import WireError
from useridentity.wire import REQUEST, Associate, decode
from useridentity.wire.quirks import PADDING

CREDENTIAL = Credential(2, b"mallory", b"\x00\xff", True)
SERVER_RESPONSE = b"\x6f\x00"
STOCK_HANGS = "PS3.8 9.3.2.2"  # stock reads such presentation contexts, and then never answers

_STRIPPED = PADDING.decode("ascii")


def stock_pdu(pdu: bytes) -> A_ASSOCIATE_RQ | A_ASSOCIATE_AC:
    """What stock decodes; raises whatever it raises."""
    decoded = A_ASSOCIATE_RQ() if pdu[0] == REQUEST else A_ASSOCIATE_AC()
    with warnings.catch_warnings():  # pydicom warns of odd UIDs
        warnings.simplefilter("ignore")
        decoded.decode(pdu)
    return decoded


def stock_primitive(pdu: bytes) -> A_ASSOCIATE:
    """What stock's ACSE gets; raises whatever stock raises."""
    decoded = stock_pdu(pdu)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return decoded.to_primitive()


def check(pdu: bytes, *, judge_refusal: bool) -> str:
    """Whether the PDU was "accepted" or "refused"; fails where that is not as it must be.

    Stock judges every acceptance, and a refusal where it is asked to.
    """
    try:
        associate = decode(pdu)
    except WireError as error:
        if judge_refusal:
            _check_refusal(pdu, error)
        return "refused"
    assert associate.encode() == pdu
    bare = decode(associate.without_identity())
    assert (bare.credential, bare.server_response, bare.free) == (None, None, associate.free)
    _check_normalised(associate, associate.normalised())
    _check_identity(associate, pdu)
    _check_replacement(associate)
    return "accepted"


def _check_refusal(pdu: bytes, error: WireError) -> None:
    """Strictness ends with lengths and identity: stock cannot read what is refused otherwise."""
    framed = len(pdu) >= 74 and pdu[0] in (1, 2) and int.from_bytes(pdu[2:6], "big") == len(pdu) - 6
    if error.about_identity or not framed or error.rule == STOCK_HANGS:
        return
    try:
        stock_primitive(pdu)
    except Exception:
        return
    raise AssertionError(f"stock pynetdicom reads what is refused with: {error}")


def _check_normalised(associate: Associate, normalised: bytes) -> None:
    """Stock reads the normalised PDU, and reads in it what is in the original."""
    again = decode(normalised)
    assert again.normalised() == normalised
    primitive = stock_primitive(normalised)
    assert primitive.maximum_length_received is not None
    if associate.pdu_type == REQUEST:
        names = primitive.called_ae_title, primitive.calling_ae_title
        assert names == (associate.called_ae_title, associate.calling_ae_title)
        contexts = primitive.presentation_context_definition_list
        assert tuple(str(context.abstract_syntax) for context in contexts) == associate.abstract_syntaxes
    try:
        original = stock_primitive(associate.encode())
    except Exception:  # the reason why there is a normalised one
        return
    assert _contexts(primitive) == _contexts(original)
    assert original.maximum_length_received in (None, primitive.maximum_length_received)
    if associate.pdu_type == REQUEST:
        assert (original.called_ae_title, original.calling_ae_title) == names


def _contexts(primitive: A_ASSOCIATE) -> list[tuple[object, ...]]:
    proposed, results = (
        primitive.presentation_context_definition_list,
        primitive.presentation_context_definition_results_list,
    )
    return [
        (
            context.context_id,
            context.result,
            (context.abstract_syntax or "").strip(_STRIPPED),
            list(dict.fromkeys(name for uid in context.transfer_syntax if (name := uid.strip(_STRIPPED)))),
        )
        for context in proposed or results
    ]


def _check_identity(associate: Associate, pdu: bytes) -> None:
    """Stock finds the same identity in the original, as far as it reads identities right."""
    try:
        information = stock_pdu(pdu).user_information
    except Exception:
        return
    found = information.user_identity if information else None
    credential = associate.credential
    if isinstance(found, UserIdentitySubItemRQ) and associate.pdu_type == REQUEST:
        assert credential is not None
        if credential.primary_field:  # stock takes an empty one for the rest of the sub-item
            fields = found.user_identity_type, found.primary_field, found.secondary_field
            assert fields == (credential.identity_type, credential.primary_field, credential.secondary_field)
        assert bool(found.positive_response_requested) is credential.positive_response_requested
    elif isinstance(found, UserIdentitySubItemAC):
        assert found.server_response == associate.server_response
    else:  # an acceptor's echo of the 58H comes first for stock
        assert credential is None
        assert found is not None or associate.server_response is None


def _check_replacement(associate: Associate) -> None:
    """Another identity takes the place of the one there was, where there is room."""
    if associate.free < len(CREDENTIAL.primary_field) + len(CREDENTIAL.secondary_field):
        return
    if associate.pdu_type == REQUEST:
        replaced = decode(associate.with_credential(CREDENTIAL))
        assert replaced.credential == CREDENTIAL
    else:
        replaced = decode(associate.with_server_response(SERVER_RESPONSE))
        assert replaced.server_response == SERVER_RESPONSE
    assert replaced.normalised() == associate.normalised()
