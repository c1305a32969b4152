"""Stock as a spreadsheet: which column is what, and what each row counts, or what is wrong with it.

Rows are named by the number a spreadsheet shows beside them. Nothing here knows which skus exist.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from syncd.stock.facts import ID_LIMIT, storable
from syncd.stock.model import QUANTITY_LIMIT

HEADER = ("sku", "warehouse", "quantity", "exported", "as_of")
"""What we write. `exported` repeats the quantity, so that a row nobody touched is known."""

DELIMITERS = ",;\t"

SKU_NAMES = (
    "variation sku", "variant sku", "sku", "item sku", "product sku", "seller sku", "merchant sku",
    "custom label (sku)", "custom label", "product code", "item code", "stock code",
)  # fmt: skip
WAREHOUSE_NAMES = ("warehouse", "warehouse name", "location", "location name", "inventory location")
AVAILABLE_NAMES = (
    "available", "available (not editable)", "available quantity", "quantity available", "sellable",
    "free stock", "quantity", "qty", "stock", "stock level", "stock quantity", "stock qty",
    "in stock", "current stock", "inventory", "inventory level", "inventory quantity",
    "variant inventory qty", "variation stock",
)  # fmt: skip
ON_HAND_NAMES = (
    "on hand (new)", "on hand", "on hand (current)", "quantity on hand", "qty on hand",
    "stock on hand", "soh", "physical stock", "physical quantity",
)  # fmt: skip
"""Headers of the exports of Shopify and what runs on it, ShopWired, Shiptheory, Starshipit,
WooCommerce and eBay, as they are spelled there but for case, dashes and underscores. The first of a
list that stands in a file, and has something in the row, is taken."""

EXPORTED_NAMES = ("exported",)
STAMP_NAMES = ("as of", "counted at", "exported at")

UNSTOCKED = frozenset({"not stocked", "not tracked"})
"""Cells that say that a platform does not count an item there: neither zero nor a complaint."""

_SCIENTIFIC = re.compile(r"[+-]?\d+([.,]\d+)?[eE][+-]?\d+")
_FRACTION = re.compile(r"[+-]?\d*[.,]\d+")
_GROUPED = re.compile(r"[+-]?\d{1,3}([.,' \u00a0\u202f]\d{3})+")


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with a row (1: the header; 0: the file)."""

    row: int
    says: str


@dataclass(frozen=True, slots=True)
class Counted:
    """What one row counts. `exported`: the quantity it was written with; `at`: its export stamp."""

    row: int
    sku: str
    warehouse: str
    quantity: int
    exported: int | None = None
    at: datetime | None = None

    @property
    def untouched(self) -> bool:
        """Nobody changed what was exported."""
        return self.exported == self.quantity


@dataclass(frozen=True, slots=True)
class Unstocked:
    """A row that says that its item is not counted there."""

    row: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column holds what; the first column of a tuple that is filled in a row is meant."""

    delimiter: str
    columns: int
    skus: tuple[int, ...]
    quantities: tuple[int, ...] = ()
    places: tuple[tuple[int, str], ...] = ()
    """Without `quantities`: a column for each warehouse, as some exports have for each location."""
    warehouse: int | None = None
    exported: int | None = None
    stamp: int | None = None
    on_hand: bool = False


def encoding_of(head: bytes) -> str:
    """The encoding that the first bytes of a file give away; empty: UTF-8 or an older one."""
    for mark, name in (
        (b"\xef\xbb\xbf", "utf-8-sig"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if head.startswith(mark):
            return name
    if len(head) > 3 and not head[1] and not head[3]:
        return "utf-16-le"
    if len(head) > 3 and not head[0] and not head[2]:
        return "utf-16-be"
    return ""


def layout_of(
    header: str, warehouses: Mapping[str, str], *, on_hand: bool = False
) -> Layout | Complaint:
    """The columns of a header line; `warehouses`: names by what a file may call them.

    `on_hand`: the quantities are what lies there, sold units included, where the file has both.
    """
    found: list[Layout | Complaint] = []
    for delimiter in DELIMITERS:
        try:
            names = next(csv.reader([header], delimiter=delimiter, strict=True), [])
        except csv.Error as error:
            found.append(Complaint(1, f"the header cannot be read: {error}"))
            continue
        layout = _layout(names, delimiter, warehouses, on_hand=on_hand)
        if isinstance(layout, Layout):
            return layout
        found.append(layout)
    widest = max(range(len(DELIMITERS)), key=lambda n: header.count(DELIMITERS[n]))
    return found[widest]


def _layout(
    header: Sequence[str], delimiter: str, warehouses: Mapping[str, str], *, on_hand: bool
) -> Layout | Complaint:
    names = [plain(name) for name in header]
    wanted = (
        SKU_NAMES,
        WAREHOUSE_NAMES,
        AVAILABLE_NAMES,
        ON_HAND_NAMES,
        EXPORTED_NAMES,
        STAMP_NAMES,
    )
    known = {name for group in wanted for name in group}
    twice = sorted({name for name in names if name in known and names.count(name) > 1})
    if twice:
        return Complaint(1, f"two columns are named {twice[0]}")
    skus, available, lying = (
        tuple(names.index(name) for name in group if name in names)
        for group in (SKU_NAMES, AVAILABLE_NAMES, ON_HAND_NAMES)
    )
    quantities = lying if lying and (on_hand or not available) else available
    places: tuple[tuple[int, str], ...] = ()
    if not quantities:
        by_name = {plain(said): name for said, name in warehouses.items()}
        places = tuple((n, by_name[name]) for n, name in enumerate(names) if name in by_name)
    missing = [] if skus else ["sku"]
    missing += [] if quantities or places else ["quantity"]
    if missing:
        seen = ", ".join(name for name in header if name.strip())[:200] or "nothing"
        return Complaint(1, f"no column says {' or '.join(missing)}; the header has: {seen}")
    return Layout(
        delimiter, len(names), skus, quantities, places,
        _first(names, WAREHOUSE_NAMES), _first(names, EXPORTED_NAMES), _first(names, STAMP_NAMES),
        quantities == lying != (),
    )  # fmt: skip


def plain(name: str) -> str:
    """A header without what programs spell differently."""
    return " ".join(name.strip("\ufeff \t'\"").replace("_", " ").replace("-", " ").lower().split())


def _first(names: Sequence[str], group: Sequence[str]) -> int | None:
    return next((names.index(name) for name in group if name in names), None)


Said = Counted | Unstocked | Complaint


def read(
    lines: Iterable[str],
    warehouses: Mapping[str, str],
    default: str | None = None,
    *,
    on_hand: bool = False,
) -> Iterator[Layout | Said]:
    """What a file says: its layout, then each row's count or complaint. One line is held at a time.

    `warehouses`: names by what the file may call them; `default` is meant where it names none.
    A file that has no usable header gives one complaint and nothing else.
    """
    source = iter(lines)
    header = next((line for line in source if line.strip("\ufeff\r\n")), "")
    shift = 0
    if plain(header).startswith("sep="):
        header, shift = next(source, ""), 1
    if not header.strip("\ufeff\r\n ,;\t"):
        yield Complaint(0, "the file is empty")
        return
    layout = layout_of(header.lstrip("\ufeff").rstrip("\r\n"), warehouses, on_hand=on_hand)
    yield layout
    if isinstance(layout, Complaint):
        return
    if layout.warehouse is None and not layout.places and default is None:
        yield Complaint(1, "no column says the warehouse: name one for the whole file")
        return
    row, any_rows = 1 + shift, False
    cells = csv.reader(source, delimiter=layout.delimiter, strict=True)
    judge = _Judge(layout, warehouses, default)
    try:
        for row, said in enumerate(cells, 2 + shift):
            if any(said):
                any_rows = True
                yield from judge.row(row, said)
    except csv.Error as error:
        cut = "unexpected end of data" in str(error)
        says = "the file ends inside quotes: is it cut off?" if cut else f"cannot be read: {error}"
        yield Complaint(row + 1, says)
    else:
        if not any_rows:
            yield Complaint(0, "the file has a header and no rows")


class _Judge:
    """What rows of one layout say."""

    def __init__(self, layout: Layout, warehouses: Mapping[str, str], default: str | None) -> None:
        self._layout = layout
        self._warehouses = dict(warehouses)
        self._folded = {said.casefold(): name for said, name in warehouses.items()}
        self._default = default
        self._stamp: tuple[str, datetime | None] = "", None

    def row(self, row: int, cells: list[str]) -> Iterator[Said]:
        layout = self._layout
        if len(cells) != layout.columns and (
            len(cells) < layout.columns or any(cells[layout.columns :])
        ):
            yield Complaint(row, _wrong_width(cells, layout.columns))
            return
        sku = sku_in(next((cell for i in layout.skus if (cell := cells[i].strip())), ""))
        at: datetime | None = None
        try:
            check_sku(sku)
            if layout.stamp is not None and (said := cells[layout.stamp].strip()):
                at = self._at(said)
        except ValueError as error:
            yield Complaint(row, str(error))
            return
        for cell, warehouse in self._cells(cells):
            yield self._cell(row, sku, cell, warehouse, at, cells)

    def _cells(self, cells: Sequence[str]) -> Iterator[tuple[str, str]]:
        """(quantity, warehouse as the file says it): several where a column stands for each."""
        layout = self._layout
        if layout.places:
            for column, warehouse in layout.places:
                yield cells[column].strip(), warehouse
            return
        cell = next((said for i in layout.quantities if (said := cells[i].strip())), "")
        yield cell, cells[layout.warehouse].strip() if layout.warehouse is not None else ""

    def _cell(
        self,
        row: int,
        sku: str,
        cell: str,
        place: str,
        at: datetime | None,
        cells: Sequence[str],
    ) -> Said:
        layout = self._layout
        warehouse = self._warehouses.get(place) if place else self._default
        warehouse = warehouse or self._folded.get(place.casefold())
        if warehouse is None:
            what = f"no warehouse is named {place}" if place else "no warehouse is named"
            return Complaint(row, f"{sku}: {what}")
        if not cell.isdecimal() and cell.lower() in UNSTOCKED:
            return Unstocked(row)
        said = cells[layout.exported].strip() if layout.exported is not None else ""
        try:
            exported = quantity_of(said, below=True) if said else None
            quantity = quantity_of(cell, below=said == cell)
        except ValueError as error:
            return Complaint(row, f"{sku}: {error}")
        return Counted(row, sku, warehouse, quantity, exported, at)

    def _at(self, said: str) -> datetime:
        """A stamp; most files repeat one in every row."""
        if said != self._stamp[0] or self._stamp[1] is None:
            try:
                at = datetime.fromisoformat(said)
            except ValueError:
                raise ValueError(f"{said[:40]!r} is no time: write 2026-01-31T12:00:00Z") from None
            if at.tzinfo is None:
                raise ValueError(f"{said[:40]!r} has no time zone: write 2026-01-31T12:00:00Z")
            self._stamp = said, at.astimezone(UTC)
        found = self._stamp[1]
        assert found is not None
        return found


def _wrong_width(cells: Sequence[str], columns: int) -> str:
    if len(cells) < columns:
        return f"has {len(cells)} of {columns} columns: is the file cut off?"
    return f"has {len(cells)} columns, the header {columns}: is a comma or semicolon not quoted?"


def sku_in(cell: str) -> str:
    """Without the formula by which some programs keep leading zeros: ="00123"."""
    if cell.startswith('="') and cell.endswith('"') and len(cell) > 3:
        return cell[2:-1]
    return cell


def check_sku(sku: str) -> None:
    """Raises ValueError with what is wrong with a sku."""
    if not sku:
        raise ValueError("no sku")
    if len(sku) > ID_LIMIT:
        raise ValueError(f"the sku {sku[:40]}… has {len(sku)} characters, at most {ID_LIMIT}")
    if not storable(sku) or not sku.isprintable():
        raise ValueError(f"the sku {sku[:40]!r} has characters that no sku has")
    if "\ufffd" in sku:
        raise ValueError(f"the sku {sku[:40]} was saved in another encoding and lost letters")


def quantity_of(cell: str, *, below: bool = False) -> int:
    """A whole number of units; `below`: it may be below 0. Raises ValueError with what is wrong."""
    if cell.isdecimal() and cell.isascii():
        if len(cell) <= 9:
            return int(cell)
        units = int(cell[:40])
    elif not cell:
        raise ValueError("no quantity (nothing is not 0)")
    elif cell[0] in "+-\u2212" and cell[1:].isdecimal() and cell.isascii() | (cell[0] == "\u2212"):
        units = int(cell[1:40]) * (1 if cell[0] == "+" else -1)
    else:
        raise ValueError(_no_number(cell[:40]))
    if abs(units) > QUANTITY_LIMIT:
        raise ValueError(f"{cell[:40]} is more than {QUANTITY_LIMIT}")
    if units < 0 and not below:
        raise ValueError(f"{cell[:40]} is below 0, which cannot be counted")
    return units


def _no_number(cell: str) -> str:
    if _SCIENTIFIC.fullmatch(cell):
        return (
            f"{cell} is a spreadsheet's short form: format the column as a number without decimals"
        )
    if _GROUPED.fullmatch(cell):
        return f"{cell} may mean two numbers: write it without separators"
    if _FRACTION.fullmatch(cell):
        return f"{cell} is no whole number"
    return f"{cell!r} is no number"


def unknown_sku(sku: str, likely: str | None) -> str:
    """What to say of a sku that no item has; `likely`: an item's sku that it may have been."""
    if likely is not None:
        return f"{sku}: no item has this sku; did {likely} lose its leading zeros?"
    if _SCIENTIFIC.fullmatch(sku):
        return (
            f"{sku}: no item has this sku; a spreadsheet's short form of a long number: "
            "format the column as text before it is filled"
        )
    return f"{sku}: no item has this sku"


def of_bundle(sku: str, made_of: str) -> str:
    """What to say of a count of a bundle."""
    return f"{sku}: is a bundle and has no stock of its own; count its components ({made_of})"


def row_out(sku: str, warehouse: str, quantity: int, stamp: str) -> tuple[str, ...]:
    """A row as we write it, in the order of `HEADER`."""
    return sku, warehouse, str(quantity), str(quantity), stamp


def line_of(sku: str, warehouse: str, quantity: int, exported: int | None) -> list[str]:
    """A file of one row, for a number that a person typed."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(HEADER[:4])
    writer.writerow((sku, warehouse, quantity, "" if exported is None else exported))
    return out.getvalue().splitlines(keepends=True)
