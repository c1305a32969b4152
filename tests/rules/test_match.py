"""Which item a listing is: by the rules in their order, by hand before all, never guessed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.stock.match import BY_HAND, CUT, Bearers, Link, Rule, judge, made_up
from syncd.stock.model import Edits, Truth
from syncd.stock.policy import Policy
from syncd.stock.rulebook import ChannelRules, Rulebook, switched, with_claimants

SKU, BARCODE, HANDLE = Rule.SKU, Rule.BARCODE, Rule.HANDLE
NAMES = {SKU: "MUG", BARCODE: "501", HANDLE: "mug/red"}
BEARERS = Bearers(
    {
        (SKU, "MUG"): [1],
        (SKU, "CUP"): [2],
        (BARCODE, "501"): [3],
        (BARCODE, "502"): [4, 5],
        (HANDLE, "mug/red"): [6],
    }
)


@pytest.mark.parametrize(
    ("rules", "names", "found"),
    [
        ((SKU,), NAMES, Link(1, "sku")),
        ((BARCODE, SKU), NAMES, Link(3, "barcode")),
        ((HANDLE, SKU), NAMES, Link(6, "handle")),
        ((SKU, HANDLE), {SKU: "", HANDLE: "mug/red"}, Link(6, "handle")),
        ((SKU, BARCODE), {SKU: "NEW", BARCODE: "501"}, Link(3, "barcode")),
        # two bear the name: a later rule is not asked, it would be a guess
        ((BARCODE, SKU), {BARCODE: "502", SKU: "MUG"}, Link(skip="ambiguous")),
        ((SKU, BARCODE), {SKU: "NEW", BARCODE: "599"}, Link(skip="unlinked")),
        ((SKU,), {SKU: ""}, Link(skip="no_sku")),
        ((BARCODE, HANDLE), {BARCODE: "", HANDLE: ""}, Link(skip="no_sku")),
    ],
)
def test_a_new_listing_is_linked_by_the_first_rule_that_names_one_item(
    rules: tuple[Rule, ...], names: dict[Rule, str], found: Link
) -> None:
    assert judge(rules, names, BEARERS, None) == found


@pytest.mark.parametrize(
    ("before", "names", "found"),
    [
        (Link(1, "sku"), {SKU: "OTHER"}, Link(1, "sku")),
        (Link(1, "sku"), {SKU: ""}, Link(1, "sku")),
        (Link(1, "sku"), {SKU: "CUP"}, Link(1, "sku", "relinked")),
        (Link(1, "sku", "relinked"), {SKU: "MUG"}, Link(1, "sku")),
        (Link(1, BY_HAND), {SKU: "CUP"}, Link(1, BY_HAND)),
        (Link(None, CUT, "unlinked"), {SKU: "MUG"}, Link(None, CUT, "unlinked")),
        (Link(None, "", "unlinked"), {SKU: "MUG"}, Link(1, "sku")),
        (Link(1, "handle"), {SKU: "CUP"}, Link(1, "handle")),
    ],
)
def test_a_link_stays_unless_the_name_is_another_items(
    before: Link, names: dict[Rule, str], found: Link
) -> None:
    assert judge((SKU,), names, BEARERS, before) == found


ITEMS = st.lists(st.integers(1, 5), max_size=3, unique=True)
KNOWN = st.sampled_from(["", "a", "b"])


@given(
    rules=st.lists(st.sampled_from(Rule), min_size=1, max_size=3, unique=True),
    names=st.fixed_dictionaries(dict.fromkeys(Rule, KNOWN)),
    items=st.dictionaries(st.tuples(st.sampled_from(Rule), KNOWN), ITEMS),
    item=st.integers(1, 5) | st.none(),
    by=st.sampled_from(["", *Rule, BY_HAND, CUT]),
)
def test_no_link_is_ever_guessed_or_moved(
    rules: list[Rule],
    names: dict[Rule, str],
    items: dict[tuple[Rule, str], list[int]],
    item: int | None,
    by: str,
) -> None:
    before = Link(None if by in ("", CUT) else item, by) if by else None
    found = judge(rules, names, Bearers(items), before)
    if before is not None and before.item_id is not None:
        assert (found.item_id, found.by) == (before.item_id, before.by)
    elif found.item_id is not None:
        rule = Rule(found.by)
        assert items[rule, names[rule]] == [found.item_id]
        earlier = rules[: rules.index(rule)]
        assert not any(names[one] and items.get((one, names[one])) for one in earlier)
    else:
        assert found.skip in ("unlinked", "ambiguous", "no_sku")


def test_a_made_up_sku_comes_of_the_handle_or_the_platforms_id() -> None:
    assert made_up("mug/red", "uk", "17") == "~mug/red"
    assert made_up("", "uk", "17") == "~uk-17"
    assert len(made_up("x" * 400, "uk", "17")) == 255


CLAIMS = Policy(last_units=3)


def test_switches_are_followed_and_undone_without_a_trace() -> None:
    rules = [
        ChannelRules(n, name, "memory", Truth.ORDERS, Edits.OVERWRITE, locations={"*": 1}, policy=p)
        for n, (name, p) in enumerate((("uk", CLAIMS), ("eu", Policy()), ("us", Policy())), 1)
    ]
    book = Rulebook(with_claimants(rules))
    off = switched(book, {"uk": False})
    assert [one.enabled for one in off.channels.values()] == [False, True, True]
    # who delivers nothing claims no last units
    assert off.channels[2].claimants == {}
    assert switched(off, {}) == book
    assert switched(switched(book, {}), {}) == book
    beaten = replace(
        book, channels={n: replace(x, configured=False) for n, x in book.channels.items()}
    )
    assert switched(beaten, {"eu": True}).channels[2].enabled
    assert not switched(beaten, {}).channels[2].enabled
