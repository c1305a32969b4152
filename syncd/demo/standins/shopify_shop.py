"""The shelves and orders of the Shopify stand-in: what a shop is, without any way to reach it.

Rules are those recorded on API 2026-04 (April to July 2026) or, where named, the vendor's documentation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

NAMES = ("available", "damaged", "incoming", "quality_control", "reserved", "safety_stock")
"""Quantities that an adjustment may name; on_hand and committed follow from them."""

LIMIT = 1_000_000_000


@dataclass(slots=True)
class Place:
    """A location."""

    id: int
    name: str
    active: bool = True


@dataclass(slots=True)
class Level:
    """One item at one location."""

    id: int
    item: Item
    place: Place
    changed: datetime
    quantities: dict[str, int] = field(default_factory=dict)
    committed: int = 0
    active: bool = True

    def quantity(self, name: str) -> int:
        if name == "committed":
            return self.committed
        if name == "on_hand":
            return self.committed + sum(v for n, v in self.quantities.items() if n != "incoming")
        return self.quantities.get(name, 0)

    @property
    def available(self) -> int:
        return self.quantity("available")


@dataclass(slots=True)
class Item:
    """A variant with its inventory item; every product here has one variant."""

    id: int
    variant: int
    product: int
    sku: str
    title: str
    tracked: bool = True
    bundle: bool = False
    continue_selling: bool = False
    levels: dict[int, Level] = field(default_factory=dict)


@dataclass(slots=True)
class Line:
    id: int
    item: Item
    place: Place
    quantity: int
    current: int
    sent: bool = False


@dataclass(slots=True)
class Fulfilment:
    """A fulfilment order: units by line that one location is to send, or has sent."""

    id: int
    place: Place
    created: datetime
    units: dict[int, int]


@dataclass(slots=True)
class RefundLine:
    id: int
    line: Line
    quantity: int
    restock_type: str
    place: Place


@dataclass(slots=True)
class Refund:
    id: int
    created: datetime
    lines: list[RefundLine]


@dataclass(slots=True)
class Order:
    id: int
    number: int
    created: datetime
    changed: datetime
    lines: list[Line]
    cancelled: datetime | None = None
    paid: str = "paid"
    refunds: list[Refund] = field(default_factory=list)
    fulfilments: list[Fulfilment] = field(default_factory=list)


class Shop:
    """A shop's whole state. `now` gives the time; stamps are whole seconds, as the platform's."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        # Beyond 2^53, as real shops have them by now: a reader that rounds ids fails at once.
        self._last_id = 9_007_199_254_741_000
        self.items: dict[int, Item] = {}
        self.places: dict[int, Place] = {}
        self.orders: dict[int, Order] = {}
        self.add_place("Shop location")

    def now(self) -> datetime:
        return self._now().replace(microsecond=0)

    def new_id(self) -> int:
        self._last_id += 1
        return self._last_id

    @property
    def primary(self) -> Place:
        return next(iter(self.places.values()))

    def add_place(self, name: str) -> Place:
        place = Place(self.new_id(), name)
        self.places[place.id] = place
        return place

    def add_item(self, sku: str, title: str) -> Item:
        item = Item(self.new_id(), self.new_id(), self.new_id(), sku, title or sku)
        self.items[item.id] = item
        return item

    def level(self, item: Item, place: Place, *, active: bool = True) -> Level:
        """The level of an item at a place, made when there is none."""
        if place.id not in item.levels:
            item.levels[place.id] = Level(self.new_id(), item, place, self.now(), active=active)
        return item.levels[place.id]

    def by_sku(self, sku: str) -> Item:
        for item in self.items.values():
            if item.sku == sku:
                return item
        raise KeyError(sku)

    def move(self, level: Level, delta: int, name: str = "available") -> None:
        level.quantities[name] = level.quantities.get(name, 0) + delta
        level.changed = self.now()

    def sell_from(self, item: Item, units: int) -> Level:
        """The level an order takes from: the first with enough, else the fullest."""
        levels = [level for level in item.levels.values() if level.active]
        enough = [level for level in levels if level.available >= units]
        return enough[0] if enough else max(levels, key=lambda level: level.available)

    def place_order(self, wanted: dict[str, int]) -> Order:
        """Available falls, committed rises; below zero only where the variant goes on selling."""
        lines: list[Line] = []
        for sku, units in wanted.items():
            item = self.by_sku(sku)
            level = self.sell_from(item, units)
            free = units if item.continue_selling else min(units, max(level.available, 0))
            if free:
                lines.append(Line(self.new_id(), item, level.place, free, free))
        if not lines:
            raise ValueError("sold out")
        now = self.now()
        order = Order(self.new_id(), 1001 + len(self.orders), now, now, lines)
        for line in lines:
            level = line.item.levels[line.place.id]
            self.move(level, -line.current)
            level.committed += line.current
            self._assign(order, line)
        self.orders[order.id] = order
        return order

    def _assign(self, order: Order, line: Line) -> None:
        """Have a line sent from its place: one fulfilment order a location."""
        for one in order.fulfilments:
            if one.place is line.place:
                one.units[line.id] = line.current
                return
        order.fulfilments.append(
            Fulfilment(self.new_id(), line.place, self.now(), {line.id: line.current})
        )

    def amend(self, order: Order, item: Item, units: int) -> int:
        """An order edit leaves so many units of an item to send; gives how many more that are."""
        line = next((line for line in order.lines if line.item is item), None)
        if line is None:
            level = self.sell_from(item, units)
            line = Line(self.new_id(), item, level.place, 0, 0)
            order.lines.append(line)
        more = units - line.current
        line.quantity, line.current = line.quantity + max(more, 0), units
        level = item.levels[line.place.id]
        self.move(level, -more)
        level.committed += more
        self._assign(order, line)
        order.changed = self.now()
        return more

    def send_from(self, order: Order, line: Line, place: Place) -> None:
        """A person has another location send what is left of a line."""
        for level, sign in (
            (line.item.levels[line.place.id], 1),
            (self.level(line.item, place), -1),
        ):
            self.move(level, sign * line.current)
            level.committed -= sign * line.current
        for one in order.fulfilments:
            one.units.pop(line.id, None)
        line.place = place
        self._assign(order, line)
        order.changed = self.now()

    def send(self, order: Order) -> None:
        """Everything is sent: it is committed no more, and nothing else moves."""
        for line in order.lines:
            if not line.sent:
                line.item.levels[line.place.id].committed -= line.current
                line.sent = True
        order.changed = self.now()

    def give_back(
        self, order: Order, units: dict[int, int], restock_type: str, place: Place | None = None
    ) -> Refund:
        """A refund of units by line; all types but no_restock put them back for sale.

        They go to the place that was to send them, or to another one once they were sent.
        """
        rows = []
        for line in order.lines:
            count = min(units.get(line.id, 0), line.current)
            if count:
                where = place if place is not None and line.sent else line.place
                kind = "cancel" if restock_type == "return" and not line.sent else restock_type
                rows.append(RefundLine(self.new_id(), line, count, kind, where))
                line.current -= count
                if not line.sent:
                    line.item.levels[line.place.id].committed -= count
                    for one in order.fulfilments:
                        one.units[line.id] = max(0, one.units.get(line.id, 0) - count)
                if restock_type != "no_restock":
                    self.move(self.level(line.item, where), count)
        refund = Refund(self.new_id(), self.now(), rows)
        order.refunds.append(refund)
        order.changed = self.now()
        left = any(line.current for line in order.lines)
        order.paid = "partially_refunded" if left else "refunded"
        return refund
