"""OAuth 1.0a, one-legged, as a WooCommerce shop asks for it over plain http.

Every request is signed anew: a shop refuses a nonce it has seen, and a stamp 15 minutes off.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote

METHOD = "HMAC-SHA256"


def signed(
    method: str,
    url: str,
    params: Mapping[str, str],
    *,
    key: str,
    secret: str,
    timestamp_s: int,
    nonce: str,
) -> dict[str, str]:
    """The query parameters with the signature's own added.

    `url` has no query. They travel in the query because many hosts strip Authorization headers
    before PHP sees them (vendor documentation). The body is not signed.
    """
    all_params = {
        **params,
        "oauth_consumer_key": key,
        "oauth_nonce": nonce,
        "oauth_signature_method": METHOD,
        "oauth_timestamp": str(timestamp_s),
    }
    text = base_string(method, url, all_params)
    return {**all_params, "oauth_signature": signature(secret, text)}


def base_string(method: str, url: str, params: Mapping[str, str]) -> str:
    """What is signed: method, address and sorted parameters, each percent-encoded (RFC 5849)."""
    pairs = sorted((_encoded(name), _encoded(value)) for name, value in params.items())
    query = "&".join(f"{name}={value}" for name, value in pairs)
    return "&".join((method.upper(), _encoded(url), _encoded(query)))


def signature(secret: str, text: str) -> str:
    """Base64 HMAC-SHA256; there is no token, so the key ends with a bare ampersand."""
    mac = hmac.new(f"{_encoded(secret)}&".encode(), text.encode(), hashlib.sha256)
    return base64.b64encode(mac.digest()).decode()


def _encoded(text: str) -> str:
    return quote(text, safe="-._~")
