"""Bundles as a spreadsheet: a row for each component of a bundle, or what is wrong with the row."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from syncd.stock.bundles import UNITS_LIMIT, Bundle
from syncd.stock.sheet import DELIMITERS, Complaint, check_sku, plain, quantity_of, sku_in

HEADER = ("bundle sku", "component sku", "quantity")

NAMES = (
    ("bundle sku", "bundle", "kit sku", "kit", "parent sku", "composite sku"),
    ("component sku", "component", "item sku", "child sku", "sku"),
    ("quantity", "qty", "units", "component quantity"),
)
"""What each column may be called, but for case, dashes and underscores."""


@dataclass(slots=True)
class Described:
    """What a file says: bundles with the row in which each component stands, and all complaints."""

    bundles: dict[str, dict[str, int]] = field(default_factory=dict)
    rows: dict[tuple[str, str], int] = field(default_factory=dict)
    complaints: list[Complaint] = field(default_factory=list)

    def all(self) -> list[Bundle]:
        return [Bundle(sku, made_of) for sku, made_of in self.bundles.items()]

    def row_of(self, sku: str, component: str | None) -> int:
        """The row to complain of: the component's, else the bundle's first."""
        found = self.rows.get((sku, component)) if component is not None else None
        return found or min((row for (of, _), row in self.rows.items() if of == sku), default=0)


def described(lines: Iterable[str]) -> Described:
    """Read a file of bundles. A bundle that it names is made of all that it says and nothing else."""
    found = Described()
    source = iter(lines)
    header = next((line for line in source if line.strip("\ufeff\r\n")), "")
    if not header.strip("\ufeff\r\n ,;\t"):
        found.complaints.append(Complaint(0, "the file is empty"))
        return found
    delimiter, columns = _layout(header.lstrip("\ufeff").rstrip("\r\n"))
    missing = [HEADER[n] for n, column in enumerate(columns) if column is None]
    if missing:
        found.complaints.append(Complaint(1, f"no column says {' or '.join(missing)}"))
        return found
    places = [column for column in columns if column is not None]
    try:
        for row, cells in enumerate(csv.reader(source, delimiter=delimiter, strict=True), 2):
            if any(cell.strip() for cell in cells):
                _take(found, row, cells, places)
    except csv.Error as error:
        found.complaints.append(Complaint(0, f"the file cannot be read to its end: {error}"))
    if not found.bundles and not found.complaints:
        found.complaints.append(Complaint(0, "the file has a header and no rows"))
    return found


def _layout(header: str) -> tuple[str, list[int | None]]:
    """The delimiter under which most columns are known, and where each is."""
    best: tuple[str, list[int | None]] = DELIMITERS[0], [None, None, None]
    for delimiter in DELIMITERS:
        names = [plain(name) for name in next(csv.reader([header], delimiter=delimiter), [])]
        columns: list[int | None] = []
        for group in NAMES:
            taken = [names.index(name) for name in group if name in names]
            columns.append(next((place for place in taken if place not in columns), None))
        if columns.count(None) < best[1].count(None):
            best = delimiter, columns
    return best


def _take(found: Described, row: int, cells: Sequence[str], places: Sequence[int]) -> None:
    """One row into what is described, or its complaint."""
    if len(cells) <= max(places):
        says = f"has {len(cells)} columns: is the file cut off?"
        found.complaints.append(Complaint(row, says))
        return
    bundle, component = (sku_in(cells[place].strip()) for place in places[:2])
    try:
        for sku in (bundle, component):
            check_sku(sku)
        units = _units(cells[places[2]].strip())
    except ValueError as error:
        found.complaints.append(Complaint(row, f"{bundle}: {error}" if bundle else str(error)))
        return
    first = found.rows.setdefault((bundle, component), row)
    if first != row:
        says = f"{bundle}: {component} stands in row {first} already"
        found.complaints.append(Complaint(row, says))
        return
    found.bundles.setdefault(bundle, {})[component] = units


def _units(cell: str) -> int:
    """Units in one bundle. Raises ValueError with what is wrong."""
    units = quantity_of(cell, below=True)
    if not 1 <= units <= UNITS_LIMIT:
        raise ValueError(f"{cell} is not between 1 and {UNITS_LIMIT}")
    return units


def rows_out(bundles: Iterable[Bundle]) -> Iterator[tuple[str, str, str]]:
    """Rows as we write them, in the order of `HEADER`."""
    for bundle in bundles:
        for component, units in bundle.components.items():
            yield bundle.sku, component, str(units)
