"""The tables of the schema as dictionaries, in one process and without a disk.

They decide nothing. Each function of `twins` does to them what the SQL of its namesake in `syncd.db`
does; `tests/flow/test_twins.py` holds the two against one another over a real database.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

LevelKey = tuple[int, int]
Row = TypeVar("Row")


@dataclass(slots=True)
class Listing:
    id: int
    channel_id: int
    location: str
    remote: str
    alias: str
    batch_group: str
    sku: str
    title: str
    item_id: int | None
    warehouse_id: int | None
    managed: bool
    skip: str
    gone_at: datetime | None = None


@dataclass(slots=True)
class ShelfRow:
    shown: int | None = None
    shown_at: datetime | None = None
    turn: int = 0
    attempt_id: UUID | None = None
    stale_times: int = 0
    lag_asks: int = 0
    surprised_at: datetime | None = None
    followed: bool = False
    held: bool = False
    quarantined: bool = False


@dataclass(slots=True)
class LevelRow:
    quantity: int
    changed_at: datetime
    seeded_at: datetime


@dataclass(slots=True)
class OrderState:
    number: str
    version: int
    digest: bytes
    terminal: bool
    placed_at: datetime | None


@dataclass(slots=True)
class LookRow:
    channel_id: int
    wish: int
    reason: str
    received_at: datetime | None
    wished_at: datetime
    not_before: datetime
    expected: int | None = None


@dataclass(slots=True)
class OrderLook:
    wish: int
    tries: int
    not_before: datetime


@dataclass(slots=True)
class OutboxRow:
    channel_id: int
    version: int
    rank: int
    risk: int
    forced: bool
    owed_at: datetime
    received_at: datetime | None
    not_before: datetime
    tries: int = 0
    batch_cap: int = 32767
    parked_at: datetime | None = None
    reason: str = ""


@dataclass(slots=True)
class StoredRow:
    """A row of attempt_row."""

    listing_id: int
    from_quantity: int | None
    to_quantity: int
    level: int
    version: int
    received_at: datetime | None
    turn: int


@dataclass(slots=True)
class AttemptNow:
    channel_id: int
    op: str
    lease_gen: int
    created_at: datetime
    not_before: datetime
    rows: list[StoredRow]
    times_sent: int = 0
    last_sent_at: datetime | None = None


@dataclass(slots=True)
class ChannelRow:
    name: str
    orders_through: datetime | None = None
    orders_asked_at: datetime | None = None
    swept_at: datetime | None = None
    lease_gen: int = 0


@dataclass(slots=True)
class Tables:
    """Every table the walkers touch. What a transaction does is done: nothing rolls back."""

    turn: int = 0
    channels: dict[int, ChannelRow] = field(default_factory=dict)
    warehouses: dict[int, datetime | None] = field(default_factory=dict)
    items: dict[str, int] = field(default_factory=dict)
    levels: dict[LevelKey, LevelRow] = field(default_factory=dict)
    movements: dict[tuple[int, int, str], Any] = field(default_factory=dict)
    listings: dict[int, Listing] = field(default_factory=dict)
    named: dict[tuple[int, str, str], int] = field(default_factory=dict)
    """Listing ids by (channel, location, remote)."""
    shelves: dict[int, ShelfRow] = field(default_factory=dict)
    orders: dict[tuple[int, str], OrderState] = field(default_factory=dict)
    lines: dict[tuple[int, str], dict[tuple[str, str], Any]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    annotations: list[tuple[int, str, str, str, int, datetime]] = field(default_factory=list)
    looks: dict[int, LookRow] = field(default_factory=dict)
    order_looks: dict[tuple[int, str], OrderLook] = field(default_factory=dict)
    outbox: dict[int, OutboxRow] = field(default_factory=dict)
    attempts: dict[UUID, AttemptNow] = field(default_factory=dict)
    doubts: list[tuple[int, Any]] = field(default_factory=list)
    """What is in suspense, by listing."""
    suspicions: dict[int, tuple[LevelKey, int, int]] = field(default_factory=dict)
    """Open amounts by listing: of which item and warehouse, own, others'."""
    alternations: dict[int, Any] = field(default_factory=dict)
    """Numbers that came back after ours, by listing."""
    stretches: dict[tuple[int, datetime], Any] = field(default_factory=dict)
    """What is kept of stretches, by listing and beginning."""
    steps: list[tuple[int, Any]] = field(default_factory=list)
    """Order steps by listing."""
    questions: dict[tuple[int, datetime], Any] = field(default_factory=dict)
    """What stretches ask."""
    seen: set[tuple[int, bytes]] = field(default_factory=set)
    inbox: dict[int, Any] = field(default_factory=dict)
    queue: dict[int, datetime] = field(default_factory=dict)
    """Event ids that wait, with the time before which they are not booked."""
    parked: dict[int, str] = field(default_factory=dict)
    journal: list[Any] = field(default_factory=list)
    last_event: int = 0

    async def fetch(self, sql: str, *_: Any, **__: Any) -> Any:
        """Where SQL arrives here, a function of `syncd.db` has no twin yet."""
        raise AssertionError(
            f"no twin in tests/rules/simulator/twins does to dictionaries what this does: {sql.strip()}"
        )

    fetchrow = fetchval = execute = executemany = fetch

    def next_turn(self) -> int:
        self.turn += 1
        return self.turn

    def of_item(self, key: tuple[int | None, int | None]) -> list[int]:
        """The listings of an item in a warehouse."""
        item, warehouse = key
        if item is None or warehouse is None:
            return []
        return [
            one.id
            for one in self.listings.values()
            if one.item_id == item and one.warehouse_id == warehouse
        ]

    def level_of(self, listing: Listing) -> LevelRow | None:
        if listing.item_id is None or listing.warehouse_id is None:
            return None
        return self.levels.get((listing.item_id, listing.warehouse_id))


def made(row: type[Row], **values: Any) -> Row:
    """A row of a result. A column the tables here do not have holds what it holds by default.

    A value that no column holds is left out.
    """
    known = _COLUMNS.get(row)
    if known is None:
        found = fields(row)  # type: ignore[arg-type]
        neutral = {f.name: _neutral(str(f.type)) for f in found if f.name not in values}
        left_out = tuple(values.keys() - {f.name for f in found})
        known = _COLUMNS[row] = neutral, left_out
    for name in known[1]:
        del values[name]
    return row(**values, **known[0])


_COLUMNS: dict[type[Any], tuple[dict[str, Any], tuple[str, ...]]] = {}


def _neutral(kind: str) -> Any:
    return None if "None" in kind else {"bool": False, "int": 0, "str": ""}[kind]


class CrashError(BaseException):
    """The daemon is gone: nothing of it runs on."""


class Gate:
    """The database as one life of the daemon has it: dead ones reach nothing.

    `passing` is asked before and after every transaction, and may end the daemon there: what was
    committed stays, what was not began is never done.
    """

    def __init__(self, tables: Tables, passing: Callable[[str], None]) -> None:
        self._tables = tables
        self._passing = passing
        self.alive = True

    def _pass(self, name: str) -> None:
        if not self.alive:
            raise CrashError
        self._passing(name)

    def transaction(self, name: str) -> Passage:
        return Passage(self, name)

    statement = transaction


class Passage:
    """One transaction."""

    def __init__(self, gate: Gate, name: str) -> None:
        self._gate = gate
        self._name = name

    async def __aenter__(self) -> Tables:
        self._gate._pass(self._name)
        return self._gate._tables

    async def __aexit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._gate._pass(self._name)
