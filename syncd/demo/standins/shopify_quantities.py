"""The two quantity mutations of the Shopify stand-in: guarded, keyed, all or nothing.

Messages and field paths are the recorded ones; a replayed key and a stale comparison follow the
vendor's documentation, since no recording of them is public.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from graphql import GraphQLResolveInfo, get_directive_values

from syncd.demo.standins.base import Faults
from syncd.demo.standins.shopify_fields import (
    gid,
    iso,
    item_node,
    number_in,
    place_node,
    refused,
    too_many,
)
from syncd.demo.standins.shopify_shop import LIMIT, NAMES, Level, Shop

REASONS = (
    "correction",
    "cycle_count_available",
    "damaged",
    "movement_canceled",
    "movement_created",
    "movement_received",
    "movement_updated",
    "other",
    "promotion",
    "quality_control",
    "received",
    "reservation_created",
    "reservation_deleted",
    "reservation_updated",
    "restock",
    "safety_stock",
    "shrinkage",
)

MALFORMED = frozenset(
    {
        "INVALID_REASON",
        "INVALID_NAME",
        "INVALID_QUANTITY_NAME",
        "INVALID_REFERENCE_DOCUMENT",
        "INVALID_AVAILABLE_DOCUMENT",
        "INVALID_QUANTITY_DOCUMENT",
        "NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR",
        "IDEMPOTENCY_KEY_PARAMETER_MISMATCH",
    }
)
"""Errors that only a wrongly made request gets, whatever is on the shelves."""

Errors = list[dict[str, Any]]


@dataclass(slots=True)
class _Kept:
    """What was answered to a key."""

    at: datetime
    asked: str
    answer: dict[str, Any] | None


@dataclass(slots=True)
class Quantities:
    """Applies quantity writes. `changed` hears of every level whose available count moved."""

    shop: Shop
    changed: Callable[[Level, int], None]
    complain: Callable[[str], None]
    faults: Faults
    key_life: timedelta = timedelta(hours=24)
    busy_keys: set[str] = field(default_factory=set)
    """Keys answered as if their first request were still under way."""
    failing: int = 0
    """This many writes fail inside the platform; their keys then answer PREVIOUS_ATTEMPT_FAILED."""
    unnamed: int = 0
    """This many writes are refused without naming a row."""
    _kept: dict[str, _Kept] = field(default_factory=dict)

    def mutations(self) -> dict[str, Any]:
        return {
            "inventorySetQuantities": self._keyed(
                self._set, "quantities", "InventoryQuantityInput"
            ),
            "inventoryAdjustQuantities": self._keyed(
                self._adjust, "changes", "InventoryChangeInput"
            ),
        }

    def _keyed(
        self, apply: Callable[[dict[str, Any]], dict[str, Any]], rows: str, row_type: str
    ) -> Callable[..., dict[str, Any]]:
        def resolve(info: GraphQLResolveInfo, **given: Any) -> dict[str, Any]:
            directive = info.schema.get_directive("idempotent")
            values = directive and get_directive_values(
                directive, info.field_nodes[0], info.variable_values
            )
            data: dict[str, Any] = given["input"]
            if any("changeFromQuantity" not in row for row in data[rows]):
                self.complain("changeFromQuantity is missing")
                raise refused(
                    f"{row_type} must include the following argument: changeFromQuantity.",
                    "INVALID_FIELD_ARGUMENTS",
                )
            if not values or not values.get("key"):
                self.complain("the @idempotent directive is missing")
                raise refused(
                    "The @idempotent directive is required for this mutation but was not provided.",
                    "BAD_REQUEST",
                )
            if len(data[rows]) > 250:
                self.complain("more than 250 rows")
                raise too_many(len(data[rows]))
            return self._once(info.field_name, str(values["key"]), data, apply)

        return resolve

    def _once(
        self, name: str, key: str, data: dict[str, Any], apply: Callable[[dict[str, Any]], Any]
    ) -> dict[str, Any]:
        asked = json.dumps([name, data], sort_keys=True)
        kept = self._kept.get(key)
        if kept is not None and self.shop.now() - kept.at >= self.key_life:
            kept = None
        if key in self.busy_keys:
            return _failed(
                "IDEMPOTENCY_CONCURRENT_REQUEST", "A request with this key is under way."
            )
        if kept is not None and kept.asked != asked:
            self.complain("the same key with other variables")
            return _failed(
                "IDEMPOTENCY_KEY_PARAMETER_MISMATCH",
                "The idempotency key was used with different parameters.",
            )
        if kept is not None and kept.answer is None:
            return _failed("IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED", "The previous attempt failed.")
        if kept is not None and kept.answer is not None:
            return kept.answer
        if self.failing:
            self.failing -= 1
            self._kept[key] = _Kept(self.shop.now(), asked, None)
            raise refused("Internal error.", "INTERNAL_SERVER_ERROR")
        if self.unnamed:
            self.unnamed -= 1
            answer = _failed("ADJUST_QUANTITIES_FAILED", "The quantities couldn't be changed.")
        else:
            answer = apply(data)
        for error in answer["userErrors"]:
            if error["code"] in MALFORMED:
                self.complain(error["message"])
        self._kept[key] = _Kept(self.shop.now(), asked, answer)
        return answer

    def _set(self, data: dict[str, Any]) -> dict[str, Any]:
        errors = self._common_errors(data)
        if data["name"] not in {"available", "on_hand"}:
            words = "The quantity name must be either 'available' or 'on_hand'."
            errors.append(_error(["name"], "INVALID_NAME", words))
        rows = data["quantities"]
        pairs = [(row["inventoryItemId"], row["locationId"]) for row in rows]
        for index, row in enumerate(rows):
            at = ["quantities", str(index)]
            errors += self._row_errors(at, row, data["name"])
            errors += _bounds(at, row["quantity"], data["name"])
            if pairs.count(pairs[index]) > 1:
                words = "The combination of inventoryItemId and locationId must be unique."
                code = "NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR"
                errors.append(_error([*at, "locationId"], code, words))
        if errors:
            return {"inventoryAdjustmentGroup": None, "userErrors": errors}
        deltas = []
        for row in rows:
            level = self._level(row)
            deltas.append((level, row["quantity"] - level.quantity(data["name"])))
        # Setting what is on hand moves what is available by the same amount (recorded).
        return self._applied(data, "available", deltas)

    def _adjust(self, data: dict[str, Any]) -> dict[str, Any]:
        errors = self._common_errors(data)
        name = data["name"]
        if name not in NAMES:
            words = f"The specified quantity name is invalid. Valid values are: {', '.join(NAMES)}."
            errors.append(_error(["name"], "INVALID_QUANTITY_NAME", words))
        rows = data["changes"]
        if len({row.get("ledgerDocumentUri") for row in rows}) > 1:
            words = (
                "All changes must have the same ledger document URI or, in the case of adjusting "
                "available, no ledger document URI."
            )
            errors.append(_error(["changes"], "MAX_ONE_LEDGER_DOCUMENT", words))
        for index, row in enumerate(rows):
            at = ["changes", str(index)]
            errors += self._row_errors(at, row, name)
            errors += _ledger(at, name, row.get("ledgerDocumentUri"))
            if abs(row["delta"]) > 2 * LIMIT:
                high = row["delta"] > 0
                code = "INVALID_QUANTITY_TOO_HIGH" if high else "INVALID_QUANTITY_TOO_LOW"
                words = f"The quantity can't be {'higher' if high else 'lower'} than 2,000,000,000."
                errors.append(_error([*at, "delta"], code, words))
        if errors:
            return {"inventoryAdjustmentGroup": None, "userErrors": errors}
        deltas = [(self._level(row), row["delta"]) for row in rows]
        return self._applied(data, name, deltas, rows[0].get("ledgerDocumentUri") if rows else None)

    def _applied(
        self,
        data: dict[str, Any],
        name: str,
        deltas: list[tuple[Level, int]],
        ledger: str | None = None,
    ) -> dict[str, Any]:
        changes = []
        for level, delta in deltas:
            if delta == 0:
                continue
            self.shop.move(level, delta, name)
            changes += [
                {
                    "name": moved,
                    "delta": delta,
                    "quantityAfterChange": None,
                    "ledgerDocumentUri": ledger if moved == name else None,
                    "item": item_node(level.item),
                    "location": place_node(level.place),
                }
                for moved in ((name,) if name == "incoming" else (name, "on_hand"))
            ]
            if name == "available":
                self.changed(level, delta)
        if not changes:
            return {"inventoryAdjustmentGroup": None, "userErrors": []}
        group = {
            "id": gid("InventoryAdjustmentGroup", self.shop.new_id()),
            "createdAt": iso(self.shop.now()),
            "reason": data["reason"],
            "referenceDocumentUri": data.get("referenceDocumentUri"),
            "changes": changes,
        }
        return {"inventoryAdjustmentGroup": group, "userErrors": []}

    def _level(self, row: dict[str, Any]) -> Level:
        """From API 2026-04 a write to an unstocked place leaves an inactive level (documentation)."""
        item = self.shop.items[number_in(row["inventoryItemId"], "InventoryItem")]
        place = self.shop.places[number_in(row["locationId"], "Location")]
        return self.shop.level(item, place, active=False)

    def _common_errors(self, data: dict[str, Any]) -> Errors:
        errors: Errors = []
        if data["reason"] not in REASONS:
            words = f"The specified reason is invalid. Valid values are: {', '.join(REASONS)}."
            errors.append(_error(["reason"], "INVALID_REASON", words))
        document = data.get("referenceDocumentUri")
        if document is not None and urlsplit(document).scheme in {"", "gid"}:
            words = "The specified reference document is invalid."
            errors.append(_error(["referenceDocumentUri"], "INVALID_REFERENCE_DOCUMENT", words))
        return errors

    def _row_errors(self, at: list[str], row: dict[str, Any], name: str) -> Errors:
        errors: Errors = []
        item = self.shop.items.get(number_in(row["inventoryItemId"], "InventoryItem"))
        place = self.shop.places.get(number_in(row["locationId"], "Location"))
        if item is None:
            words = "The specified inventory item could not be found."
            errors.append(_error([*at, "inventoryItemId"], "INVALID_INVENTORY_ITEM", words))
        if place is None:
            words = "The specified location could not be found."
            errors.append(_error([*at, "locationId"], "INVALID_LOCATION", words))
        if item is None or place is None:
            return errors
        if item.bundle or item.sku in self.faults.refuse_skus:
            words = "The specified inventory item can't be changed."
            errors.append(_error([*at, "inventoryItemId"], "NON_MUTABLE_INVENTORY_ITEM", words))
        expected = row["changeFromQuantity"]
        level = item.levels.get(place.id)
        if expected is not None and expected != (level.quantity(name) if level else 0):
            words = "The quantity has changed since it was read."
            errors.append(_error([*at, "changeFromQuantity"], "CHANGE_FROM_QUANTITY_STALE", words))
        return errors


def _error(path: list[str], code: str, message: str) -> dict[str, Any]:
    return {"field": ["input", *path], "code": code, "message": message}


def _failed(code: str, message: str) -> dict[str, Any]:
    return {
        "inventoryAdjustmentGroup": None,
        "userErrors": [{"field": None, "code": code, "message": message}],
    }


def _bounds(at: list[str], quantity: int, name: str) -> Errors:
    path = [*at, "quantity"]
    if quantity > LIMIT:
        words = "The quantity can't be higher than 1,000,000,000."
        return [_error(path, "INVALID_QUANTITY_TOO_HIGH", words)]
    if name == "on_hand" and quantity < 0:
        return [_error(path, "INVALID_QUANTITY_NEGATIVE", "The quantity can't be negative.")]
    if quantity < -LIMIT:
        words = "The quantity can't be lower than -1,000,000,000."
        return [_error(path, "INVALID_QUANTITY_TOO_LOW", words)]
    return []


def _ledger(at: list[str], name: str, uri: str | None) -> Errors:
    path = [*at, "ledgerDocumentUri"]
    if name == "available":
        words = "A ledger document URI is not allowed when adjusting available."
        return [_error(path, "INVALID_AVAILABLE_DOCUMENT", words)] if uri else []
    if name not in NAMES:
        return []
    if uri is None:
        words = "A ledger document URI is required except when adjusting available."
        return [_error(path, "INVALID_QUANTITY_DOCUMENT", words)]
    if uri.startswith("gid://shopify/"):
        words = "Internal (gid://shopify/) ledger documents are not allowed to be adjusted via API."
        return [_error(path, "INTERNAL_LEDGER_DOCUMENT", words)]
    return []
