"""How the benches' webhooks are signed: one secret for all of them."""

from __future__ import annotations

import base64
import hmac

SECRET = b"a-webhook-secret-of-the-bench"


def digest(payload: bytes) -> bytes:
    return hmac.digest(SECRET, payload, "sha256")


def digest64(payload: bytes) -> str:
    return base64.b64encode(digest(payload)).decode()
