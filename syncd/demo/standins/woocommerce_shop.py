"""The shop behind the WooCommerce stand-in: shelves, orders and the platform's own stock rules.

Stock leaves when an order is first processing, on-hold or completed, and comes back when it is
cancelled or pending again; nothing else brings it back but a refund that says so (observed on
WooCommerce 10.7.0, 2026-11-22).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any, Literal

from syncd.demo.standins.base import Book
from syncd.demo.standins.woocommerce_rules import RefusedCall

REDUCING = frozenset({"processing", "on-hold", "completed"})
RESTORING = frozenset({"cancelled", "pending"})
PAID = frozenset({"processing", "completed"})


@dataclass(slots=True)
class Product:
    """A product, or a variation when `parent_id` is set."""

    id: int
    sku: str
    name: str
    modified: datetime
    created: datetime
    kind: Literal["simple", "variable", "variation"] = "simple"
    parent_id: int = 0
    managed: bool | Literal["parent"] = True
    stock: int = 0
    status: str = "publish"
    children: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Line:
    """`reduced` is what its `_reduced_stock` says; 0 where the meta is absent."""

    id: int
    product_id: int
    variation_id: int
    quantity: int
    reduced: int = 0
    refunded: int = 0


@dataclass(slots=True)
class Refund:
    id: int
    created: datetime
    amount: float
    units: dict[int, int]
    """By line id."""


@dataclass(slots=True)
class Order:
    id: int
    created: datetime
    modified: datetime
    lines: list[Line]
    status: str = "pending"
    paid: datetime | None = None
    stock_reduced: bool = False
    via: str = "checkout"
    parent: int = 0
    """The order that a plugin for several vendors made this one a part of; 0: none."""
    refunds: list[Refund] = field(default_factory=list)


class Shop:
    """Keeps everything, tells `happened(topic, id)` of every change. All times are whole seconds."""

    def __init__(
        self, clock: Callable[[], datetime], book: Book, happened: Callable[[str, int], None]
    ) -> None:
        self.products: dict[int, Product] = {}
        self.orders: dict[int, Order] = {}
        self.book = book
        self.stock_management = True
        """The shop-wide option: off, every quantity is ignored."""
        self._clock = clock
        self._happened = happened
        self._numbers: Iterator[int] = count(11)
        self._line_numbers: Iterator[int] = count(1)

    def now(self) -> datetime:
        return self._clock().replace(microsecond=0)

    # ---- the catalogue

    def new_product(self, sku: str, name: str, **more: Any) -> Product:
        now = self.now()
        product = Product(next(self._numbers), sku, name or sku, now, now, **more)
        self.products[product.id] = product
        if product.parent_id:
            self.products[product.parent_id].children.append(product.id)
        self._happened("product.created", product.id)
        return product

    def by_sku(self, sku: str) -> Product:
        for product in self.products.values():
            if product.sku == sku and product.status != "trash":
                return product
        raise KeyError(sku)

    def shelf_of(self, product: Product) -> Product | None:
        """Where this product's units are counted; None where nobody counts."""
        if product.managed == "parent":
            parent = self.products[product.parent_id]
            return parent if parent.managed is True else None
        return product if product.managed else None

    def set_stock(self, product: Product, quantity: int) -> None:
        """Thrown away without a word where stock is not managed."""
        if product.managed is True and self.stock_management:
            product.stock = quantity
            self._touch(product)

    def edit(self, product: Product, quantity: int) -> None:
        if product.managed is True:
            self.book.write(product.sku, quantity - product.stock, "edit")
        self.set_stock(product, quantity)

    def trash_product(self, product: Product, *, restored: bool = False) -> None:
        product.status = "publish" if restored else "trash"
        for child in product.children:
            self.products[child].status = product.status
        self._happened("product.restored" if restored else "product.deleted", product.id)

    def _move(self, line: Line, delta: int, cause: str, order: Order) -> None:
        product = self.products.get(line.variation_id or line.product_id)
        shelf = None if product is None else self.shelf_of(product)
        if shelf is not None and delta:
            shelf.stock += delta
            self.book.write(shelf.sku, delta, cause, str(order.id))
            self._touch(shelf)

    def _touch(self, product: Product) -> None:
        """An order renews the stamp of the variation and of its parent."""
        product.modified = self.now()
        if product.parent_id:
            self.products[product.parent_id].modified = self.now()
        self._happened("product.updated", product.id)

    def counted(self, line: Line) -> bool:
        product = self.products.get(line.variation_id or line.product_id)
        return product is not None and self.shelf_of(product) is not None

    # ---- orders

    def new_order(
        self, units: Mapping[int, int], status: str, *, via: str = "checkout", part_of: int = 0
    ) -> Order:
        """`units` by product or variation id; what REST asks for is sold, below zero too."""
        now = self.now()
        lines = []
        for product_id, quantity in units.items():
            product = self.products[product_id]
            parent = product.parent_id
            lines.append(
                Line(
                    next(self._line_numbers),
                    parent or product_id,
                    product_id if parent else 0,
                    quantity,
                )
            )
        order = Order(next(self._numbers), now, now, lines, via=via, parent=part_of)
        self.orders[order.id] = order
        self._happened("order.created", order.id)
        if status != "pending":
            self.set_status(order, status)
        return order

    def set_status(self, order: Order, status: str) -> None:
        before, order.status = order.status, status
        if before == status:
            return
        if status in PAID and order.paid is None:
            order.paid = self.now()
        if status in REDUCING and not order.stock_reduced:
            order.stock_reduced = True
            for line in order.lines:
                if self.counted(line) and not line.reduced:
                    line.reduced = line.quantity
                    self._move(line, -line.quantity, "sale", order)
        elif status in RESTORING and order.stock_reduced:
            order.stock_reduced = False
            for line in order.lines:
                back, line.reduced = line.reduced, 0
                self._move(line, back, "cancel", order)
        elif status == "refunded" and not order.refunds:
            order.refunds.append(Refund(next(self._numbers), self.now(), 0.0, {}))
        self._changed(order)

    def set_quantity(self, order: Order, line: Line, quantity: int) -> None:
        line.quantity = quantity
        if order.stock_reduced and self.counted(line):
            more = quantity - line.refunded - line.reduced
            line.reduced += more
            self._move(line, -more, "sale" if more > 0 else "cancel", order)
        self._changed(order)

    def amend(self, order: Order, sku: str, quantity: int) -> None:
        """A person changes, adds or (with 0) removes the line of a product."""
        product = self.by_sku(sku)
        line = next((x for x in order.lines if product.id in (x.product_id, x.variation_id)), None)
        if line is None:
            line = Line(next(self._line_numbers), product.id, 0, 0)
            order.lines.append(line)
        self.set_quantity(order, line, quantity)
        if not quantity:
            order.lines.remove(line)

    def refund(
        self, order: Order, units: Mapping[int, int], amount: float, *, restock: bool
    ) -> Refund:
        """`units` by line id. A refund of everything makes the order refunded."""
        lines = {line.id: line for line in order.lines}
        for line_id, quantity in units.items():
            line = lines.get(line_id)
            if line is None or quantity > line.quantity - line.refunded:
                raise RefusedCall(
                    500, "woocommerce_rest_cannot_create_order_refund", "Invalid refund amount."
                )
        for line_id, quantity in units.items():
            line = lines[line_id]
            line.refunded += quantity
            if restock and line.reduced:
                back = min(quantity, line.reduced)
                line.reduced -= back
                self._move(line, back, "refund", order)
        refund = Refund(next(self._numbers), self.now(), amount, dict(units))
        order.refunds.append(refund)
        if all(line.refunded == line.quantity for line in order.lines):
            order.status = "refunded"
        self._changed(order)
        return refund

    def trash_order(self, order: Order, *, for_good: bool = False) -> None:
        """Gives nothing back. For good, nothing is sent: what waits leaves as an error object."""
        if for_good:
            del self.orders[order.id]
            return
        order.status = "trash"
        order.modified = self.now()
        self._happened("order.deleted", order.id)

    def restore_order(self, order: Order, status: str) -> None:
        order.status = status
        order.modified = self.now()
        self._happened("order.restored", order.id)

    def _changed(self, order: Order) -> None:
        order.modified = self.now()
        self._happened("order.updated", order.id)
