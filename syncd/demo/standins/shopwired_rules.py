"""What the ShopWired stand-in accepts: routes, query names and bodies, and why it refuses the rest.

Where the description of the vendor's endpoints is at hand, every request is held against it too.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

BATCH_MAX = 15
PAGE_MAX = 100
PAGE_DEFAULT = 50
QUANTITY_MAX = 1_000_000_000
HOOKS_PER_TOPIC = 10

TOPICS = frozenset(
    f"{subject}.{verb}"
    for subject in ("order", "product", "customer", "category", "brand", "tag")
    for verb in ("created", "updated", "deleted")
) | {
    "order.finalized",
    "order.status_changed",
    "order.refund.created",
    "product.stock_changed",
    "batch.completed",
}

_PAGING = frozenset({"count", "offset", "sort", "fields", "embed"})
_EMBEDS = {
    "products": frozenset({"variations", "images", "categories", "custom_fields", "vat_relief"}),
    "orders": frozenset({"status", "products", "refunds", "customer", "shipping", "discounts"}),
}


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint: `name` is the handler's, `pattern` matches the path below /v1."""

    name: str
    method: str
    pattern: re.Pattern[str]
    query: frozenset[str] = frozenset()
    body: bool = False


ROUTES = (
    Route("business", "GET", re.compile(r"/business")),
    Route("read_stock", "GET", re.compile(r"/stock"), frozenset({"sku"})),
    Route("write_stock", "POST", re.compile(r"/stock"), body=True),
    Route("write_stock_single", "PUT", re.compile(r"/stock"), body=True),
    Route("products", "GET", re.compile(r"/products"), _PAGING | {"active"}),
    Route("product", "GET", re.compile(r"/products/(\d+)"), frozenset({"fields", "embed"})),
    Route("variations", "GET", re.compile(r"/products/(\d+)/variations")),
    Route(
        "orders",
        "GET",
        re.compile(r"/orders"),
        _PAGING | {"ids", "archived", "status", "from", "to"},
    ),
    Route("order", "GET", re.compile(r"/orders/([^/]+)"), frozenset({"fields", "embed"})),
    Route("hooks", "GET", re.compile(r"/webhooks")),
    Route("add_hook", "POST", re.compile(r"/webhooks"), body=True),
)
"""Parameters beyond the described ones (embed of orders, from, ids) are in the vendor's reference
or in public client code."""

_BEYOND = {
    "/orders": {"sort", "fields", "embed", "ids", "archived", "status", "from", "to"},
    "/orders/{id}": {"fields", "embed"},
    "/products": {"active"},
    "/products/{id}": {"fields", "embed"},
}


class RefusedCall(Exception):
    """A malformed request: answered with `status`, counted as invalid."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


def find_route(method: str, path: str, query: Mapping[str, str]) -> tuple[Route, str]:
    """The route and the id in its path. Raises RefusedCall."""
    if not path.startswith("/v1/"):
        raise RefusedCall(f"no endpoint {path}", 404)
    if len(set(query)) < len(query):
        raise RefusedCall("a parameter is given twice")
    path = path.removeprefix("/v1")
    known = {r.method: (r, m) for r in ROUTES if (m := r.pattern.fullmatch(path))}
    if not known:
        raise RefusedCall(f"no endpoint {path}", 404)
    if method not in known:
        raise RefusedCall(f"{method} is not allowed for {path}", 405)
    route, match = known[method]
    unknown = set(query) - route.query
    if unknown:
        raise RefusedCall(f"unknown parameters {sorted(unknown)} for {path}")
    _check_described(route, method, path, query)
    return route, match.group(1) if match.groups() else ""


def check_paging(query: Mapping[str, str], page_max: int) -> tuple[int, int]:
    """(count, offset)."""
    count, offset = query.get("count", str(PAGE_DEFAULT)), query.get("offset", "0")
    if not count.isdecimal() or not 1 <= int(count) <= PAGE_MAX:
        raise RefusedCall(f"count must be 1 to {PAGE_MAX}, not {count}")
    if not offset.isdecimal():
        raise RefusedCall(f"offset must be a number from 0, not {offset}")
    return min(int(count), page_max), int(offset)


def check_embed(kind: str, query: Mapping[str, str]) -> frozenset[str]:
    wanted = frozenset(query["embed"].split(",")) if "embed" in query else frozenset()
    unknown = wanted - _EMBEDS[kind]
    if unknown:
        raise RefusedCall(f"unknown embeds {sorted(unknown)}")
    return wanted


def check_time(query: Mapping[str, str], name: str) -> int | None:
    """A UNIX timestamp in whole seconds."""
    if name not in query:
        return None
    if not query[name].isdecimal():
        raise RefusedCall(f"{name} must be a UNIX timestamp, not {query[name]}")
    return int(query[name])


def decode(content_type: str, body: bytes) -> Any:
    if content_type != "application/json":
        raise RefusedCall("the body must be sent as application/json", 415)
    try:
        return json.loads(body)
    except ValueError as error:
        raise RefusedCall("the body is not JSON") from error


def check_stock(body: Any) -> list[tuple[str, int]]:
    """The rows of a POST /stock."""
    if not isinstance(body, list) or not body:
        raise RefusedCall("the body must be a list with at least one row")
    if len(body) > BATCH_MAX:
        raise RefusedCall(f"at most {BATCH_MAX} rows, not {len(body)}")
    rows = [check_stock_row(row) for row in body]
    if len({sku for sku, _ in rows}) < len(rows):
        raise RefusedCall("a sku is named twice")
    return rows


def check_stock_row(row: Any) -> tuple[str, int]:
    _keys(row, {"sku", "quantity"}, {"sku", "quantity"})
    sku, quantity = row["sku"], row["quantity"]
    if not isinstance(sku, str) or not sku:
        raise RefusedCall("sku must be a text")
    if isinstance(quantity, bool) or not isinstance(quantity, int):
        raise RefusedCall("quantity must be an integer")
    if not 0 <= quantity <= QUANTITY_MAX:
        raise RefusedCall("quantity is out of range")
    return sku, quantity


def check_hook(body: Any, *, loopback: bool) -> tuple[str, str]:
    """(topic, url). `loopback` lets plain http through to this machine, for tests and the demo."""
    _keys(body, {"topic", "url"}, {"topic", "url", "secret"})
    topic, url = body["topic"], body["url"]
    if topic not in TOPICS:
        raise RefusedCall(f"unknown topic {topic!r}")
    parts = urlsplit(url if isinstance(url, str) else "")
    near = loopback and parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")
    if not parts.hostname or not (parts.scheme == "https" or near):
        raise RefusedCall("url must use https")
    return topic, url


def _keys(row: Any, needed: set[str], allowed: Iterable[str]) -> None:
    if not isinstance(row, dict):
        raise RefusedCall("an object is expected")
    missing, unknown = needed - row.keys(), row.keys() - set(allowed)
    if missing or unknown:
        raise RefusedCall(f"missing {sorted(missing)}, unknown {sorted(unknown)}")


def _check_described(route: Route, method: str, path: str, query: Mapping[str, str]) -> None:
    endpoints = described()
    if not endpoints:
        return
    shape = re.sub(r"/(products|orders)/[^/]+", r"/\1/{id}", path)
    for endpoint in endpoints:
        if endpoint["path"] == shape and method in endpoint["method"].split("|"):
            known = set(endpoint.get("query", ())) | _BEYOND.get(shape, set())
            if not set(query) <= known:
                raise RefusedCall(f"{route.name}: parameters {sorted(set(query) - known)}")
            return
    raise RefusedCall(f"{method} {shape} is not described")


@cache
def described() -> tuple[Mapping[str, Any], ...]:
    """The vendor's endpoints as described in SYNCD_SPECS, or beside the repository; else none."""
    beside = Path(__file__).resolve().parents[4] / "shared" / "specs"
    folder = Path(os.environ.get("SYNCD_SPECS") or beside)
    path = folder / "shopwired" / "endpoints.json"
    return tuple(json.loads(path.read_text())["endpoints"]) if path.is_file() else ()
