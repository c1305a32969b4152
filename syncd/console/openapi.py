"""The OpenAPI 3.1 document, made from the routes: what is served and what is described cannot differ."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from syncd import __version__
from syncd.console.problems import MEDIA_TYPE, ProblemShown
from syncd.console.routes import Route

_REF = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{(\w+)(?::[^}]*)?\}")


def document(routes: Sequence[Route], prefix: str) -> dict[str, Any]:
    """The document that describes these routes."""
    shapes: list[type[msgspec.Struct]] = [ProblemShown]
    for route in routes:
        shapes += [shape for shape in (route.answer, route.query, route.body) if shape is not None]
    unique = list(dict.fromkeys(shapes))
    schemas, components = msgspec.json.schema_components(unique, ref_template=_REF)
    refs = dict(zip(unique, schemas, strict=True))
    bodies = {route.body.__name__ for route in routes if route.body is not None}
    queries = {route.query.__name__ for route in routes} - bodies
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = _PARAMETER.sub(r"{\1}", route.path)
        shown = _operation(route, refs, components)
        paths.setdefault(path, {})[route.method.lower()] = shown
    return {
        "openapi": "3.1.0",
        "info": {"title": "syncd", "version": __version__},
        "servers": [{"url": prefix}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": {name: x for name, x in components.items() if name not in queries},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {
                "Problem": {
                    "description": "Problem details (RFC 9457).",
                    "content": {MEDIA_TYPE: {"schema": refs[ProblemShown]}},
                }
            },
        },
    }


def _operation(
    route: Route, refs: dict[type[msgspec.Struct], dict[str, Any]], components: dict[str, Any]
) -> dict[str, Any]:
    headers = {}
    if route.status == 202:
        headers = {"Location": {"schema": {"type": "string"}, "description": "Where to look."}}
    shown: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.says,
        "description": f"Wants the role {route.role.name.lower()}.",
        "parameters": _parameters(route, components),
        "responses": {
            str(route.status): {
                "description": "Done." if route.body else "Found.",
                "content": {"application/json": {"schema": refs[route.answer]}},
                **({"headers": headers} if headers else {}),
            },
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }
    if route.body is not None:
        shown["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": refs[route.body]}},
        }
    return shown


def _parameters(route: Route, components: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(route.path)
    ]
    shape = components.get(route.query.__name__, {})
    required = shape.get("required", [])
    found += [
        {"name": name, "in": "query", "required": name in required, "schema": schema}
        for name, schema in shape.get("properties", {}).items()
    ]
    if route.body is not None:
        key = {"type": "string", "minLength": 1, "maxLength": 255}
        found.append({"name": "Idempotency-Key", "in": "header", "required": True, "schema": key})
    return found
