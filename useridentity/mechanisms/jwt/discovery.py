"""What an OpenID provider says about itself (OpenID Connect Discovery 1.0)."""

from __future__ import annotations

from useridentity.errors import ConfigurationError
from useridentity.https import check_url
from useridentity.mechanisms.https import FetchFailed, get_json
from useridentity.tls.client import Tls

WELL_KNOWN = "/.well-known/openid-configuration"


def discovered(issuer: str, endpoint: str, tls: Tls) -> str:
    """The https URL that the provider's metadata gives for `endpoint` ("jwks_uri", "token_endpoint").

    Raises `FetchFailed` where there is none, or the metadata are of another issuer (Discovery 4.3).
    """
    metadata = get_json(issuer.rstrip("/") + WELL_KNOWN, tls)
    if metadata.get("issuer") != issuer:
        raise FetchFailed(f"{issuer}: its metadata are of another issuer; write `issuer` exactly as they do")
    try:
        return check_url(str(metadata.get(endpoint)))
    except ConfigurationError as error:
        raise FetchFailed(f"{issuer}: {endpoint}: {error}") from None
