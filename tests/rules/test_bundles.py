"""Bundles: components limit them, nothing nests, and an order takes each component once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.stock.bundles import Bundle, Makes, makes, problems_of, taken_apart

SET = Bundle("SET", {"MUG": 2, "BOX": 1})
SKU = st.sampled_from("ABCD")
components = st.dictionaries(SKU, st.integers(1, 5), min_size=1)


def test_the_scarcest_component_limits_a_bundle() -> None:
    assert makes(SET, {"MUG": 9, "BOX": 8}) == Makes(4, "MUG")
    assert makes(SET, {"MUG": 9, "BOX": 3}) == Makes(3, "BOX")
    assert makes(SET, {"MUG": -1, "BOX": 3}) == Makes(-1, "MUG")


def test_a_component_that_is_not_counted_is_not_zero() -> None:
    assert makes(SET, {"MUG": 9}) is None


@given(components, st.fixed_dictionaries(dict.fromkeys("ABCD", st.integers(0, 99))))
def test_so_many_can_be_made_and_not_one_more(parts: dict[str, int], there: dict[str, int]) -> None:
    bundle = Bundle("X", parts)
    found = makes(bundle, there)
    assert found is not None
    takes = taken_apart([("X", found.units)], {"X": bundle})
    assert all(takes[sku] <= there[sku] for sku in parts)
    one_more = taken_apart([("X", found.units + 1)], {"X": bundle})
    assert one_more[found.short] > there[found.short]


def test_a_bundle_sold_beside_its_component_takes_both() -> None:
    assert taken_apart([("SET", 2), ("MUG", 3), ("TEE", 1)], {"SET": SET}) == {
        "MUG": 7,
        "BOX": 2,
        "TEE": 1,
    }


@given(st.lists(st.tuples(st.sampled_from(["A", "B", "X"]), st.integers(-9, 9))))
def test_the_order_of_its_lines_changes_nothing(lines: list[tuple[str, int]]) -> None:
    bundles = {"X": Bundle("X", {"A": 2, "B": 3})}
    whole = taken_apart(lines, bundles)
    assert taken_apart(reversed(lines), bundles) == whole
    split = [taken_apart([line], bundles) for line in lines]
    assert whole == {sku: sum(part.get(sku, 0) for part in split) for sku in whole}


@pytest.mark.parametrize(
    ("bundles", "words"),
    [
        ([Bundle("X", {})], ['bundle "X": has no components']),
        ([Bundle("X", {"X": 1})], ['bundle "X": contains itself']),
        ([Bundle("X", {"A": 0})], ['bundle "X": takes 0 of "A": at least 1 is needed']),
        (
            [Bundle("X", {"A": 1_000_001})],
            ['bundle "X": takes 1000001 of "A": at most 1000000 can be'],
        ),
        (
            [Bundle("Y", {"X": 1}), Bundle("X", {"A": 1})],
            ['bundle "Y": contains the bundle "X": name what that one is made of instead'],
        ),
        (
            [Bundle("X", {"Y": 1}), Bundle("Y", {"X": 1})],
            [
                'bundle "X": contains the bundle "Y": name what that one is made of instead',
                'bundle "Y": contains the bundle "X": name what that one is made of instead',
            ],
        ),
        ([SET, SET], ['bundle "SET": is described twice']),
        ([SET], []),
    ],
)
def test_what_cannot_be_a_bundle(bundles: list[Bundle], words: list[str]) -> None:
    assert [str(problem) for problem in problems_of(bundles)] == words
