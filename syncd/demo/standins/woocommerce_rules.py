"""What the WooCommerce stand-in refuses: unsigned calls, unknown routes, arguments of a wrong type.

It judges by the shop's own route index where the vendor's file is at hand, else by a short one
kept here, and is stricter than a shop in one thing: an argument nobody knows is refused.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

Json = dict[str, Any]

WINDOW_S = 15 * 60
"""How far a request's stamp may be off, and how long its nonce is remembered."""


class RefusedCall(Exception):
    """An error answer in the shape of WordPress."""

    def __init__(self, status: int, code: str, message: str, **data: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body: Json = {"code": code, "message": message, "data": {"status": status, **data}}


class UnknownRoute(RefusedCall):
    """Nothing of this name in any version of the shop."""


NO_ROUTE_WORDS = "No route was found matching the URL and request method."


# ---- who calls


@dataclass(slots=True)
class Doorkeeper:
    """Checks credentials as the shop does: Basic where it sees https, else OAuth 1.0a."""

    key: str
    secret: str
    https: bool
    nonces: dict[str, float]

    def check(self, method: str, url: str, query: Mapping[str, str], auth: str, now: float) -> None:
        """Raises RefusedCall (401). `url` has no query."""
        if self.https:
            self._check_basic(auth)
        else:
            self._check_oauth(method, url, query, now)

    def _check_basic(self, auth: str) -> None:
        if not auth.startswith("Basic "):
            raise RefusedCall(
                401, "woocommerce_rest_cannot_view", "Sorry, you cannot list resources."
            )
        try:
            key, _, secret = base64.b64decode(auth[6:]).decode().partition(":")
        except ValueError:
            key, secret = "", ""
        if key != self.key:
            raise _unauthorised("Consumer key is invalid.")
        if secret != self.secret:
            raise _unauthorised("Consumer secret is invalid.")

    def _check_oauth(self, method: str, url: str, query: Mapping[str, str], now: float) -> None:
        names = ("consumer_key", "timestamp", "nonce", "signature", "signature_method")
        given = {name: query.get(f"oauth_{name}", "") for name in names}
        if not any(given.values()):
            raise RefusedCall(
                401, "woocommerce_rest_cannot_view", "Sorry, you cannot list resources."
            )
        missing = [f"oauth_{name}" for name, value in given.items() if not value]
        if missing:
            raise _unauthorised(f"Missing OAuth parameter {', '.join(missing)}")
        if given["consumer_key"] != self.key:
            raise _unauthorised("Consumer key is invalid.")
        if given["signature_method"] not in ("HMAC-SHA1", "HMAC-SHA256"):
            raise _unauthorised("Invalid signature - signature method is invalid.")
        pairs = sorted((k, v) for k, v in query.items() if k != "oauth_signature")
        text = "&".join(f"{_quoted(k)}={_quoted(v)}" for k, v in pairs)
        text = f"{method}&{_quoted(url)}&{_quoted(text)}"
        algorithm = given["signature_method"].removeprefix("HMAC-").lower()
        mac = hmac.new(f"{self.secret}&".encode(), text.encode(), getattr(hashlib, algorithm))
        if base64.b64encode(mac.digest()).decode() != given["signature"]:
            raise _unauthorised("Invalid signature - provided signature does not match.")
        stamp = int(given["timestamp"]) if given["timestamp"].isdecimal() else 0
        if abs(now - stamp) > WINDOW_S:
            raise _unauthorised("Invalid timestamp.")
        self.nonces = {n: t for n, t in self.nonces.items() if now - t <= WINDOW_S}
        if given["nonce"] in self.nonces:
            raise _unauthorised("Invalid nonce - nonce has already been used.")
        self.nonces[given["nonce"]] = now


def _unauthorised(words: str) -> RefusedCall:
    return RefusedCall(401, "woocommerce_rest_authentication_error", words)


def _quoted(text: str) -> str:
    return quote(text, safe="-._~")


# ---- what is asked


@dataclass(frozen=True, slots=True)
class Call:
    """A call that fits its route: `route` as the index names it, `args` from path and query."""

    route: str
    path: dict[str, int | str]
    query: dict[str, str]
    body: Json


def routed(method: str, path: str, query: Mapping[str, str], raw: bytes) -> Call:
    """Find the route and judge every argument. Raises RefusedCall."""
    for route, endpoints in _index().items():
        match = re.fullmatch(route, path)
        args = endpoints.get(method)
        if match is None or args is None:
            continue
        asked = {k: v for k, v in query.items() if not k.startswith("oauth_") and k != "_fields"}
        body = _body_of(raw) if method != "GET" else {}
        if not route.endswith("/batch"):
            judge({**asked, **body}, args, path_names=match.groupdict())
        found = {k: int(v) if v.isdecimal() else v for k, v in match.groupdict().items()}
        return Call(route, found, asked, body)
    raise UnknownRoute(404, "rest_no_route", NO_ROUTE_WORDS)


def item_args(route: str) -> Json:
    """What one row of a batch may hold: the arguments of the single object's PUT."""
    id_part = r"/(?P<id>[\d]+)"
    args = _index()[route.removesuffix("/batch") + id_part]["PUT"]
    return {**args, "id": {"type": "integer", "required": True}}


def judge(given: Mapping[str, Any], args: Json, path_names: Mapping[str, str]) -> None:
    """Types, enums and bounds, as WordPress judges them; unknown names are refused as well."""
    missing = [
        name
        for name, rule in args.items()
        if rule.get("required") is True and name not in given and name not in path_names
    ]
    if missing:
        words = f"Missing parameter(s): {', '.join(missing)}"
        raise RefusedCall(400, "rest_missing_callback_param", words, params=missing)
    wrong = {}
    for name, value in given.items():
        if name not in args:
            wrong[name] = f"{name} is not a known parameter."
        elif value is not None and (complaint := _complaint(name, value, args[name])):
            wrong[name] = complaint
    if wrong:
        words = f"Invalid parameter(s): {', '.join(wrong)}"
        raise RefusedCall(400, "rest_invalid_param", words, params=wrong)


def _body_of(raw: bytes) -> Json:
    if not raw:
        return {}
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise RefusedCall(400, "rest_invalid_json", "Invalid JSON body passed.") from error
    if not isinstance(body, dict):
        raise RefusedCall(400, "rest_invalid_json", "Invalid JSON body passed.")
    return body


_DATE = r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d(:\d\d)?)?"


def _complaint(name: str, value: Any, rule: Json) -> str:
    kind = rule.get("type")
    if kind == "array":
        return _list_complaint(name, value, rule.get("items") or {})
    kinds = kind if isinstance(kind, list) else [kind]
    if not any(_fits(value, one) for one in kinds):
        return f"{name} is not of type {','.join(map(str, kinds))}."
    if kind == "integer":
        low, high = rule.get("minimum"), rule.get("maximum")
        if (low is not None and int(value) < low) or (high is not None and int(value) > high):
            return f"{name} must be between {low} (inclusive) and {high} (inclusive)"
    if rule.get("enum") and value not in rule["enum"]:
        return f"{name} is not one of {', '.join(map(str, rule['enum']))}."
    if rule.get("format") == "date-time" and not re.fullmatch(_DATE, str(value)):
        return "Invalid date."
    return ""


def _list_complaint(name: str, value: Any, rule: Json) -> str:
    """A list may come as text with commas."""
    rows = [one.strip() for one in value.split(",")] if isinstance(value, str) else value
    if not isinstance(rows, list):
        return f"{name} is not of type array."
    each = (_complaint(name, one, rule) for one in rows)
    return next((one for one in each if one), "")


def _fits(value: Any, kind: str | None) -> bool:
    if kind not in ("integer", "boolean", "string", "object"):
        return True
    if kind == "integer":
        return not isinstance(value, bool) and bool(re.fullmatch(r"-?\d+", str(value)))
    if kind == "boolean":
        return value in (True, False, "true", "false", "1", "0")
    return isinstance(value, str if kind == "string" else dict)


# ---- the index


@cache
def _index() -> dict[str, dict[str, Json]]:
    """Arguments by route and method, routes as regular expressions without their namespace."""
    home = Path(os.environ.get("SYNCD_SPECS") or Path(__file__).parents[4] / "shared" / "specs")
    file = home / "woocommerce" / "wc-v3-index.json"
    if not file.is_file():
        return _OWN_INDEX
    found: dict[str, dict[str, Json]] = {}
    for route, described in json.loads(file.read_text())["routes"].items():
        for endpoint in described["endpoints"]:
            for method in endpoint["methods"]:
                args = endpoint["args"] or {}
                found.setdefault(route.removeprefix("/wc/v3"), {})[method] = dict(args)
    found[_R]["POST"]["line_items"] = {"type": "array"}  # accepted, but not in the index
    return found


def _args(**kinds: str) -> Json:
    return {name.rstrip("_"): _rule(kind) for name, kind in kinds.items()}


def _rule(kind: str) -> Json:
    if kind == "numbers":
        return {"type": "array", "items": {"type": "integer"}}
    if kind == "date":
        return {"type": "string", "format": "date-time"}
    if kind == "page":
        return {"type": "integer", "minimum": 1}
    if kind == "per_page":
        return {"type": "integer", "minimum": 1, "maximum": 100}
    if "|" in kind:
        return {"type": "string", "enum": kind.split("|")}
    required = kind.endswith("!")
    return {"type": kind.rstrip("!"), "required": required}


_LIST = _args(
    page="page", per_page="per_page", offset="integer", include="numbers", exclude="numbers",
    order="asc|desc", orderby="date|id|include|title|slug|modified", modified_after="date",
    modified_before="date", dates_are_gmt="boolean", search="string",
)  # fmt: skip
_CATALOGUE = _LIST | _args(status="any|future|trash|draft|pending|private|publish", sku="string")
_STATUSES = "pending|processing|on-hold|completed|cancelled|refunded|failed|checkout-draft"
_ORDERS = _LIST | {
    "status": {
        "type": "array",
        "items": {"type": "string", "enum": ["any", "trash", *_STATUSES.split("|")]},
    }
}
_PRODUCT = _args(
    name="string", type="simple|grouped|external|variable", sku="string", regular_price="string",
    manage_stock="boolean", stock_quantity="integer", status="draft|pending|private|publish",
    attributes="mixed",
)  # fmt: skip
_VARIATION = {**_PRODUCT, "manage_stock": {"type": "mixed"}}
_ORDER = _args(
    status=_STATUSES, set_paid="boolean", billing="object", payment_method="string",
    line_items="mixed",
)  # fmt: skip
_REFUND = _args(
    amount="string", api_refund="boolean", api_restock="boolean", line_items="mixed",
    reason="string",
)  # fmt: skip
_HOOK = _args(name="string", status="active|paused|disabled", secret="string")
_NEW_HOOK = _HOOK | _args(topic="string!", delivery_url="string!")
_CHANGED_HOOK = _HOOK | _args(topic="string", delivery_url="string")
_FORCE = _args(force="boolean")
_N = r"(?P<id>[\d]+)"
_P = r"/products/(?P<product_id>[\d]+)/variations"
_R = r"/orders/(?P<order_id>[\d]+)/refunds"
_HOOKS = _args(
    page="page", per_page="per_page", order="asc|desc", orderby="date|id|title",
    status="all|active|paused|disabled",
)  # fmt: skip

_OWN_INDEX: dict[str, dict[str, Json]] = {
    "/products": {"GET": _CATALOGUE, "POST": _PRODUCT},
    "/products/batch": {"POST": {}},
    f"/products/{_N}": {"GET": {}, "PUT": _PRODUCT, "DELETE": _FORCE},
    _P: {"GET": _CATALOGUE, "POST": _VARIATION},
    f"{_P}/batch": {"POST": {}},
    f"{_P}/{_N}": {"GET": {}, "PUT": _VARIATION, "DELETE": _FORCE},
    "/variations": {"GET": _CATALOGUE},
    "/orders": {"GET": _ORDERS, "POST": _ORDER},
    f"/orders/{_N}": {"GET": {}, "PUT": _ORDER, "DELETE": _FORCE},
    _R: {"GET": _LIST, "POST": _REFUND},
    "/webhooks": {"GET": _HOOKS, "POST": _NEW_HOOK},
    f"/webhooks/{_N}": {"GET": {}, "PUT": _CHANGED_HOOK, "DELETE": _FORCE},
    "/system_status": {"GET": {}},
    r"/settings/(?P<group_id>[\w-]+)/(?P<id>[\w-]+)": {"GET": {}},
}
