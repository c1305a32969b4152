"""The Shopify stand-in's bulk operations: five at once, a file of lines each, children after parents."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from graphql import GraphQLError, GraphQLResolveInfo, parse, validate

from syncd.demo.standins.shopify_fields import gid
from syncd.demo.standins.shopify_shop import Shop

AT_ONCE = 5

Run = Callable[[Any, Any], Any]
"""Executes a document without page limits: (schema, document) to its data."""


@dataclass(slots=True)
class _Operation:
    id: int
    query: str
    schema: Any
    started: datetime
    polls: int = 0
    status: str = "CREATED"
    lines: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Bulk:
    """Runs bulk queries. An operation is done after `polls` looks at it, or after ten seconds."""

    shop: Shop
    run: Run
    complain: Callable[[str], None]
    polls: int = 1
    truncate: bool = False
    """Files end in the middle of their last line."""
    forget: int = 0
    """So many objects of a file are left out, though they are counted."""
    fail: bool = False
    """Operations end FAILED."""
    address: Callable[[int], str] = str
    _operations: dict[int, _Operation] = field(default_factory=dict)

    def start(self, info: GraphQLResolveInfo, query: str, **_: Any) -> dict[str, Any]:
        schema = info.context["schema"]
        running = [o for o in self._operations.values() if self._running(o)]
        if (problem := _problem(schema, query)) is not None:
            self.complain(problem)
            return _refused(["query"], problem, "INVALID")
        if len(running) >= AT_ONCE:
            ids = ", ".join(gid("BulkOperation", o.id) for o in running)
            words = f"A bulk query operation for this app and shop is already in progress: {ids}."
            return _refused(None, words, "OPERATION_IN_PROGRESS")
        operation = _Operation(self.shop.new_id(), query, schema, self.shop.now())
        self._operations[operation.id] = operation
        return {"bulkOperation": self._node(operation), "userErrors": []}

    def look(self, _: GraphQLResolveInfo, **given: Any) -> dict[str, Any] | None:
        operation = next(
            (o for o in self._operations.values() if gid("BulkOperation", o.id) == given["id"]),
            None,
        )
        if operation is None:
            return None
        operation.polls += 1
        if operation.status in {"CREATED", "RUNNING"}:
            operation.status = "RUNNING"
            if operation.polls > self.polls:
                self._finish(operation)
        return self._node(operation)

    def file(self, number: int) -> bytes | None:
        """The lines of a finished operation, spoilt as the knobs say."""
        operation = self._operations.get(number)
        if operation is None or operation.status != "COMPLETED":
            return None
        lines = operation.lines[: len(operation.lines) - self.forget]
        body = "".join(line + "\n" for line in lines).encode()
        return body[: len(body) - 20] if self.truncate else body

    def _running(self, operation: _Operation) -> bool:
        if operation.status in {"CREATED", "RUNNING"}:
            if self.shop.now() - operation.started < timedelta(seconds=10):
                return True
            self._finish(operation)
        return False

    def _finish(self, operation: _Operation) -> None:
        if self.fail:
            operation.status = "FAILED"
            return
        data = self.run(operation.schema, parse(operation.query))
        operation.lines = [json.dumps(line) for line in _lines(data, None)]
        operation.status = "COMPLETED"

    def _node(self, operation: _Operation) -> dict[str, Any]:
        done = operation.status == "COMPLETED"
        return {
            "__typename": "BulkOperation",
            "id": gid("BulkOperation", operation.id),
            "status": operation.status,
            "type": "QUERY",
            "errorCode": "INTERNAL_SERVER_ERROR" if operation.status == "FAILED" else None,
            "objectCount": str(len(operation.lines)),
            "query": operation.query,
            "url": self.address(operation.id) if done and operation.lines else None,
        }


def _problem(schema: Any, query: str) -> str | None:
    try:
        document = parse(query)
    except GraphQLError as error:
        return f"Invalid bulk query: {error.message}"
    if errors := validate(schema, document):
        return f"Invalid bulk query: {errors[0].message}"
    if "edges" not in query:
        return "Bulk queries must contain at least one connection."
    return None


def _refused(path: list[str] | None, message: str, code: str) -> dict[str, Any]:
    error = {"field": path, "message": message, "code": code}
    return {"bulkOperation": None, "userErrors": [error]}


def _lines(value: dict[str, Any], parent: str | None) -> Iterator[dict[str, Any]]:
    """Every row of every connection on its own line, naming the nearest object with an id."""
    for child in value.values():
        if isinstance(child, dict) and isinstance(child.get("edges"), list):
            for edge in child["edges"]:
                node = edge["node"]
                own = {k: v for k, v in node.items() if not (isinstance(v, dict) and "edges" in v)}
                yield own if parent is None else {**own, "__parentId": parent}
                yield from _lines(node, node.get("id", parent))
        elif isinstance(child, dict):
            yield from _lines(child, child.get("id", parent))
