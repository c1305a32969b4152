"""The Shopify stand-in's GraphQL endpoint: validates, prices, throttles and executes documents.

Where the vendor's schema is at hand every document and its variables must fit it; else a small own
schema stands in. Error shapes are the recorded ones.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    GraphQLError,
    GraphQLInputType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    build_schema,
    coerce_input_value,
    execute,
    is_input_type,
    parse,
    type_from_ast,
    validate,
)

from syncd.demo.standins.base import Counters, Faults
from syncd.demo.standins.shopify_sdl import SDL

REQUEST_COST_MAX = 1000

_SPECS = Path(__file__).parents[4] / "shared" / "specs"

_FREE = frozenset({"pageInfo", "userErrors", "quantities", "accessScopes", "throttleStatus"})


@lru_cache
def schema_of(version: str) -> GraphQLSchema:
    """The vendor's schema of this API version where it is at hand, else our own small one."""
    folder = Path(os.environ.get("SYNCD_SPECS") or _SPECS) / "shopify"
    for name in (f"connector-subset-{version}.graphql", f"admin-{version}.graphql"):
        if (folder / name).is_file():
            return build_schema((folder / name).read_text(), assume_valid=True)
    return build_schema(SDL)


class Bucket:
    """The cost bucket of one app in one shop: 2000 points, 100 a second (recorded, 2026-06-25)."""

    def __init__(self, maximum: float = 2000.0, restore: float = 100.0) -> None:
        self.maximum = maximum
        self.restore = restore
        self._left = maximum
        self._at = time.monotonic()

    def left(self) -> float:
        now = time.monotonic()
        self._left = min(self.maximum, self._left + (now - self._at) * self.restore)
        self._at = now
        return self._left

    def take(self, points: float) -> None:
        self._left = min(self.maximum, self.left() - points)

    def status(self) -> dict[str, int]:
        return {
            "maximumAvailable": int(self.maximum),
            "currentlyAvailable": int(self.left()),
            "restoreRate": int(self.restore),
        }


class Api:
    """Answers one request body with one answer body. `roots` are the resolvers by field name."""

    def __init__(
        self, roots: Callable[[], dict[str, Any]], faults: Faults, counters: Counters
    ) -> None:
        self.bucket = Bucket()
        self._roots = roots
        self._faults = faults
        self._counters = counters

    def complain(self, why: str) -> None:
        self._counters.invalid.append(why)

    def answer(self, version: str, query: Any, variables: Any) -> dict[str, Any]:
        schema = schema_of(version)
        if not isinstance(query, str) or not isinstance(variables, dict):
            self.complain("no query, or variables that are no object")
            return {"errors": {"query": "Required parameter missing or invalid"}}
        try:
            document = parse(query)
        except GraphQLError as error:
            self.complain(error.message)
            return {"errors": [_shape(error, {"code": "PARSE_ERROR"})]}
        errors = [_validation(error) for error in validate(schema, document)]
        operation = next(
            (d for d in document.definitions if isinstance(d, OperationDefinitionNode)), None
        )
        if operation is None and not errors:
            errors = [{"message": "A document must have one operation."}]
        if operation is not None and not errors:
            errors = _variable_errors(schema, operation, variables)
        if errors or operation is None:
            for problem in errors:
                self.complain(problem["message"])
            return {"errors": errors}
        return self._priced(schema, document, operation, variables)

    def _priced(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: dict[str, Any],
    ) -> dict[str, Any]:
        requested = requested_cost(operation, variables)
        if requested > REQUEST_COST_MAX:
            self.complain(f"a request of {requested} points")
            words = (
                f"Query cost is {requested}, which exceeds the single query max cost limit (1000)."
            )
            error = {"message": words, "extensions": {"code": "MAX_COST_EXCEEDED"}}
            return {"errors": [error], "extensions": {"cost": self._told(requested, None)}}
        if self._faults.buckets and self.bucket.left() < requested:
            self._counters.throttled += 1
            throttled = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
            return {"errors": [throttled], "extensions": {"cost": self._told(requested, None)}}
        if operation.operation is OperationType.MUTATION:
            self._counters.writes += 1
        result = self.run(schema, document, variables)
        actual = min(requested, actual_cost(operation, result.data))
        self.bucket.take(actual)
        body: dict[str, Any] = {}
        if result.errors:
            body["errors"] = [_shape(error, error.extensions) for error in result.errors]
        return {**body, "data": result.data, "extensions": {"cost": self._told(requested, actual)}}

    def run(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        variables: dict[str, Any],
        *,
        bulk: bool = False,
    ) -> ExecutionResult:
        result = execute(
            schema,
            document,
            root_value=self._roots(),
            variable_values=variables,
            context_value={"bulk": bulk, "schema": schema},
        )
        if not isinstance(result, ExecutionResult):
            raise TypeError("resolvers answer at once")
        return result

    def _told(self, requested: int, actual: int | None) -> dict[str, Any]:
        return {
            "requestedQueryCost": requested,
            "actualQueryCost": actual,
            "throttleStatus": self.bucket.status(),
        }


def requested_cost(operation: OperationDefinitionNode, variables: dict[str, Any]) -> int:
    """Points reserved before running: an object 1, a connection 2 and its rows, a mutation 10."""
    if operation.operation is OperationType.MUTATION:
        fields = [s for s in operation.selection_set.selections if isinstance(s, FieldNode)]
        return sum(10 + _mutation_extra(field) for field in fields)
    return _cost(operation.selection_set, variables)


def _mutation_extra(field: FieldNode) -> int:
    """Selecting the adjustment group costs 3 more, as recorded for every selection below it."""
    selected = field.selection_set.selections if field.selection_set else ()
    names = {s.name.value for s in selected if isinstance(s, FieldNode)}
    return 3 if "inventoryAdjustmentGroup" in names else 0


def _cost(selections: SelectionSetNode | None, variables: dict[str, Any]) -> int:
    total = 0
    for node in selections.selections if selections else ():
        if isinstance(node, InlineFragmentNode):
            total += _cost(node.selection_set, variables)
        elif isinstance(node, FieldNode) and node.selection_set and node.name.value not in _FREE:
            total += _field_cost(node, node.selection_set, variables)
    return total


def _field_cost(node: FieldNode, selected: SelectionSetNode, variables: dict[str, Any]) -> int:
    inner = _cost(selected, variables)
    if node.name.value == "edges":
        return inner
    given = [_argument(node, name, variables) for name in ("first", "last", "ids")]
    rows = next((value for value in given if value is not None), 1)
    count = len(rows) if isinstance(rows, list) else int(rows)
    below = {child.name.value for child in selected.selections if isinstance(child, FieldNode)}
    return 2 + count * inner if below & {"nodes", "edges"} else count * (1 + inner)


def _argument(node: FieldNode, name: str, variables: dict[str, Any]) -> Any:
    for argument in node.arguments:
        if argument.name.value == name:
            if isinstance(argument.value, VariableNode):
                return variables.get(argument.value.name.value)
            if isinstance(argument.value, IntValueNode):
                return int(argument.value.value)
    return None


def actual_cost(operation: OperationDefinitionNode, data: Any) -> int:
    """Points charged: for the objects that were really there."""
    if operation.operation is OperationType.MUTATION:
        roots = data.values() if isinstance(data, dict) else ()
        groups = [r for r in roots if isinstance(r, dict) and r.get("inventoryAdjustmentGroup")]
        return 10 * len(operation.selection_set.selections) + 3 * len(groups)
    rows = data.get("nodes") if isinstance(data, dict) else None
    return max(1, _objects(rows) if rows is not None else _objects(data) - 1)


def _objects(value: Any) -> int:
    if isinstance(value, list):
        return sum(_objects(v) for v in value)
    if isinstance(value, dict):
        wrapper = not value.keys().isdisjoint({"nodes", "edges", "node"})
        below = sum(_objects(v) for k, v in value.items() if k not in _FREE)
        return below if wrapper else 1 + below
    return 0


def _shape(error: GraphQLError, extensions: Any) -> dict[str, Any]:
    shaped: dict[str, Any] = {"message": error.message}
    if error.locations:
        shaped["locations"] = [{"line": at.line, "column": at.column} for at in error.locations]
    if extensions:
        shaped["extensions"] = dict(extensions)
    if error.path:
        shaped["path"] = error.path
    return shaped


def _validation(error: GraphQLError) -> dict[str, Any]:
    """A document that does not fit the schema, in the platform's words where they are recorded."""
    words = error.message.split("'")
    code = "invalid"
    if error.message.startswith("Cannot query field"):
        code = "undefinedField"
        error = GraphQLError(f"Field '{words[1]}' doesn't exist on type '{words[3]}'", error.nodes)
    elif "is required, but it was not provided" in error.message:
        code = "missingRequiredArguments"
        argument, field = words[3], words[1]
        field = field.rsplit(".", 1)[-1]
        error = GraphQLError(
            f"Field '{field}' is missing required arguments: {argument}", error.nodes
        )
    elif error.message.startswith("Unknown argument"):
        code = "argumentNotAccepted"
    return _shape(error, {"code": code})


def _variable_errors(
    schema: GraphQLSchema, operation: OperationDefinitionNode, variables: dict[str, Any]
) -> list[dict[str, Any]]:
    errors = []
    for definition in operation.variable_definitions:
        name = definition.variable.name.value
        kind = type_from_ast(schema, definition.type)
        if not is_input_type(kind):
            continue
        if name not in variables and definition.default_value is not None:
            continue
        problems: list[dict[str, Any]] = []
        if name in variables or str(kind).endswith("!"):

            def hear(
                path: list[Any], _: Any, error: GraphQLError, into: list[Any] = problems
            ) -> None:
                into.append(_problem(path, error.message))

            coerce_input_value(variables.get(name), cast("GraphQLInputType", kind), hear)
        if problems:
            first = problems[0]
            where = ".".join(str(part) for part in first["path"])
            words = f"Variable ${name} of type {kind} was provided invalid value"
            words += f" for {where} ({first['explanation']})" if where else ""
            code = {
                "code": "INVALID_VARIABLE",
                "value": variables.get(name),
                "problems": problems,
            }
            errors.append(_shape(GraphQLError(words, definition), code))
    return errors


def _problem(path: list[Any], message: str) -> dict[str, Any]:
    words = message.split("'")
    if "is not defined by type" in message:
        return {
            "path": [*path, words[1]],
            "explanation": f"Field is not defined on {words[3]}",
        }
    if "was not provided" in message:
        field = words[1].rsplit(".", 1)[-1]
        return {"path": [*path, field], "explanation": "Expected value to not be null"}
    return {"path": list(path), "explanation": message}
