"""What spreadsheets say, and every way in which they ruin it."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.stock.sheet import (
    HEADER,
    Complaint,
    Counted,
    Layout,
    Unstocked,
    encoding_of,
    quantity_of,
    read,
    row_out,
    unknown_sku,
)

PLACES = {"main": "main", "shop": "shop", "High Street": "shop"}


def said(text, default="main", **options):
    return list(read(io.StringIO(text, newline=""), PLACES, default, **options))


def counts(text, default="main", **options):
    layout, *rows = said(text, default, **options)
    assert isinstance(layout, Layout), layout
    assert not [row for row in rows if isinstance(row, Complaint)], rows
    return [
        (row.sku, row.warehouse, row.quantity) for row in rows if not isinstance(row, Unstocked)
    ]


def complaints(text, default="main", **options):
    found = said(text, default, **options)
    return [(c.row, c.says) for c in found if isinstance(c, Complaint)]


@pytest.mark.parametrize(
    "text",
    [
        "sku,quantity\nMUG,5\n",
        "SKU;Stock\r\nMUG;5\r\n",
        "sku\tqty\nMUG\t5",
        "sep=;\nSKU;Stock\nMUG;5\n",
        "\ufeffsku,quantity\nMUG,5\n",
        "\n\nsku,quantity\nMUG,5\n,\n\n",
        '"SKU","Stock Level"\n"MUG","5"\n',
        'SKU,Quantity\n"=""MUG""",5\n',
        "sku,title,quantity\nMUG,,+5\n",
        "sku,quantity\n MUG , 5 \n",
        "sku,quantity,\nMUG,5,\n",
    ],
)
def test_one_row_in_many_spellings(text):
    assert counts(text) == [("MUG", "main", 5)]


@pytest.mark.parametrize(
    ("text", "on_hand", "expected"),
    [
        pytest.param(
            "Handle,Title,Option1 Name,Option1 Value,SKU,HS Code,COO,Location,Bin name,"
            "Incoming (not editable),Unavailable (not editable),Committed (not editable),"
            "Available (not editable),On hand (current),On hand (new)\n"
            "mug,Mug,Title,Default Title,00123,,,High Street,,0,0,2,5,7,\n"
            "tee,Tee,Size,M,TEE,,,High Street,,not stocked,not stocked,not stocked,"
            "not stocked,not stocked,\n",
            False,
            [("00123", "shop", 5)],
            id="a Shopify inventory export, available",
        ),
        pytest.param(
            "SKU,Location,Available (not editable),On hand (current),On hand (new)\n"
            "MUG,shop,5,7,\nTEE,shop,1,2,9\n",
            True,
            [("MUG", "shop", 7), ("TEE", "shop", 9)],
            id="the same, on hand: what was typed before what was there",
        ),
        pytest.param(
            "Handle,SKU,main,High Street\nmug,MUG,5,not stocked\ntee,TEE,0,3\n",
            False,
            [("MUG", "main", 5), ("TEE", "main", 0), ("TEE", "shop", 3)],
            id="a Shopify export with a column for each location",
        ),
        pytest.param(
            "Handle,Title,Variant SKU,Variant Inventory Qty\nmug,Mug,MUG,5\n",
            False,
            [("MUG", "main", 5)],
            id="a Shopify product export",
        ),
        pytest.param(
            "Item ID,Item Name,SKU,Variation SKU,Stock\n1,Mug,MUG,,5\n2,Tee,TEE,TEE-M,6\n",
            False,
            [("MUG", "main", 5), ("TEE-M", "main", 6)],
            id="a ShopWired export with variations",
        ),
        pytest.param(
            "sku,name,barcode,stock_location,quantity,warehouse\nMUG,Mug,501,A32,5,shop\n",
            False,
            [("MUG", "shop", 5)],
            id="a Shiptheory list: stock_location is a shelf in the house",
        ),
        pytest.param(
            "SKU,Product name,Warehouse,On Hand,Available\nMUG,Mug,main,7,5\n",
            False,
            [("MUG", "main", 5)],
            id="a Starshipit stock report",
        ),
        pytest.param(
            "Custom label (SKU),Available quantity\nMUG,5\n",
            False,
            [("MUG", "main", 5)],
            id="an eBay report, as ExportYourStore has it",
        ),
    ],
)
def test_exports_of_other_products_are_known_by_their_headers(text, on_hand, expected):
    assert counts(text, on_hand=on_hand) == expected


def test_a_file_that_only_says_what_lies_there_counts_that():
    layout = said("sku,On hand\nMUG,5\n")[0]
    assert layout.on_hand
    assert not said("sku,On hand,Available\nMUG,5,4\n")[0].on_hand


@pytest.mark.parametrize(
    ("text", "row", "words"),
    [
        ("", 0, "empty"),
        ("\ufeff\r\n", 0, "empty"),
        ("sku,quantity\n", 0, "no rows"),
        ("sku,price\nMUG,5\n", 1, "no column says quantity; the header has: sku, price"),
        ("name;quantity\nMug;5\n", 1, "no column says sku"),
        ("MUG,5\nTEE,6\n", 1, "no column says sku or quantity; the header has: MUG, 5"),
        ("sku,quantity,Quantity\nMUG,5,6\n", 1, "two columns are named quantity"),
        ("sku,quantity\nMUG\n", 2, "has 1 of 2 columns: is the file cut off?"),
        ('sku,quantity\nTEE,1\n"MU', 3, "ends inside quotes"),
        ("sku,quantity\nMUG,1,000\n", 2, "has 3 columns, the header 2"),
        ("sku,quantity\n,5\n", 2, "no sku"),
        (f"sku,quantity\n{'x' * 256},5\n", 2, "256 characters"),
        ("sku,quantity\nM\0UG,5\n", 2, "characters that no sku has"),
        ("sku,quantity\nM\ufffdG,5\n", 2, "another encoding"),
        ("sku,quantity\nMUG,\n", 2, "no quantity (nothing is not 0)"),
        ("sku,quantity\nMUG,-3\n", 2, "below 0"),
        ("sku,quantity\nMUG,\u22123\n", 2, "below 0"),
        ("sku,quantity\nMUG,1.5\n", 2, "no whole number"),
        ('sku,quantity\nMUG,"1,5"\n', 2, "no whole number"),
        ('sku,quantity\nMUG,"1,000"\n', 2, "two numbers"),
        ("sku,quantity\nMUG,1.000\n", 2, "two numbers"),
        ("sku,quantity\nMUG,1E+05\n", 2, "short form"),
        ("sku,quantity\nMUG,1e12\n", 2, "short form"),
        ("sku,quantity\nMUG,1000000000000\n", 2, "more than 1000000000"),
        (f"sku,quantity\nMUG,{'9' * 5000}\n", 2, "more than 1000000000"),
        ("sku,quantity\nMUG,\u0665\n", 2, "no number"),
        ("sku,quantity\nMUG,#REF!\n", 2, "no number"),
        ("sku,warehouse,quantity\nMUG,attic,5\n", 2, "no warehouse is named attic"),
        ("sku,quantity,as of\nMUG,5,yesterday\n", 2, "no time"),
        ("sku,quantity,as of\nMUG,5,2026-11-26T12:00:00\n", 2, "no time zone"),
    ],
)
def test_every_sin_is_told_with_its_row(text, row, words):
    found = complaints(text)
    assert len(found) == 1
    assert found[0][0] == row
    assert words in found[0][1]


def test_every_bad_row_is_told_and_the_good_ones_are_read():
    found = said("sku,quantity\nMUG,1E+05\nTEE,3\n,4\nCAP,-1\n")
    assert [type(one).__name__ for one in found] == [
        "Layout", "Complaint", "Counted", "Complaint", "Complaint",
    ]  # fmt: skip


def test_a_warehouse_has_to_be_named_somewhere():
    assert complaints("sku,quantity\nMUG,5\n", None) == [
        (1, "no column says the warehouse: name one for the whole file")
    ]
    assert complaints("sku,warehouse,quantity\nMUG,,5\n", None) == [
        (2, "MUG: no warehouse is named")
    ]
    assert counts("sku,warehouse,quantity\nMUG,Main,5\n", None) == [("MUG", "main", 5)]


def test_rows_are_numbered_as_a_spreadsheet_does():
    text = 'sku,title,quantity\nMUG,"two\nlines",1\nTEE,x,no\n'
    assert complaints(text) == [(3, "TEE: 'no' is no number")]


def test_an_untouched_row_may_be_below_zero_and_is_known():
    stamp = datetime(2026, 11, 26, 12, tzinfo=UTC)
    header = ",".join(HEADER)
    rows = said(f"{header}\nMUG,main,-3,-3,2026-11-26T12:00:00Z\nTEE,main,4,-3,\n", None)[1:]
    assert rows == [
        Counted(2, "MUG", "main", -3, -3, stamp),
        Counted(3, "TEE", "main", 4, -3),
    ]
    assert complaints(f"{header}\nTEE,main,-4,-3,\n")[0][0] == 2


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\xef\xbb\xbfsku", "utf-8-sig"),
        ("sku,".encode("utf-16"), "utf-16"),
        ("sku,".encode("utf-16-le"), "utf-16-le"),
        ("sku,".encode("utf-16-be"), "utf-16-be"),
        (b"sku,quantity", ""),
        (b"", ""),
    ],
)
def test_encodings_are_known_by_their_first_bytes(head, name):
    assert encoding_of(head) == name


def test_unknown_skus_are_told_with_what_a_spreadsheet_did_to_them():
    assert "did 00123 lose its leading zeros" in unknown_sku("123", "00123")
    assert "short form" in unknown_sku("5.01235E+12", None)
    assert unknown_sku("MUG", None) == "MUG: no item has this sku"


SKUS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=40)
QUANTITIES = st.integers(-1_000_000_000, 1_000_000_000)


@given(st.dictionaries(SKUS, QUANTITIES, min_size=1), st.sampled_from([",", ";", "\t"]))
def test_what_is_written_is_read_again(stock, delimiter):
    kept = {s: q for s, q in stock.items() if not (s.startswith('="') and s.endswith('"'))}
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(HEADER)
    for sku, quantity in kept.items():
        writer.writerow(row_out(sku, "main", quantity, "2026-11-26T12:00:00Z"))
    if not kept:
        return
    rows = said(out.getvalue(), None)[1:]
    assert {row.sku: row.quantity for row in rows} == kept
    assert all(row.exported == row.quantity for row in rows)


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text):
    for one in said(text):
        assert isinstance(one, Layout | Counted | Unstocked | Complaint)


@given(st.text(max_size=30))
def test_every_cell_is_a_number_or_a_reason(cell):
    try:
        found = quantity_of(cell, below=True)
    except ValueError as error:
        found = len(str(error))
    assert -1_000_000_000 <= found <= 1_000_000_000
