"""How many units of a Shopify line each location holds, from its fulfilment orders and refunds."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.connectors.shopify_places import Placed, PutBack, by_place
from syncd.stock.model import LineSeen, OrderSeen

AT = datetime(2026, 11, 26, tzinfo=UTC)


def order(taken: int, kept: int) -> OrderSeen:
    return OrderSeen("1", 1, AT, (LineSeen("7", taken, kept, alias="v", sku="A"),))


def split(taken: int, kept: int, placed: list[Placed], back: list[PutBack]) -> dict[str, tuple]:
    found = by_place(order(taken, kept), placed, back)
    return {line.location: (line.taken, line.kept) for line in found.lines}


def here(units: int) -> Placed:
    return Placed("7", "h", units)


def there(units: int) -> Placed:
    return Placed("7", "t", units)


@pytest.mark.parametrize(
    ("taken", "kept", "placed", "back", "held"),
    [
        (3, 3, [here(3)], [], {"h": (3, 3)}),
        (3, 3, [here(1), there(2)], [], {"h": (1, 1), "t": (2, 2)}),
        # cancelled in part before it was sent, as the fulfilment order knows or not yet
        (1, 1, [here(1)], [PutBack("7", "h", 2, sent=False)], {"h": (1, 1)}),
        (1, 1, [here(3)], [PutBack("7", "h", 2, sent=False)], {"h": (1, 1)}),
        (1, 1, [here(2), there(1)], [PutBack("7", "h", 2, sent=False)], {"t": (1, 1)}),
        # sent, and back at the same or another location
        (1, 1, [here(3)], [PutBack("7", "h", 2, sent=True)], {"h": (1, 1)}),
        (1, 1, [here(3)], [PutBack("7", "t", 2, sent=True)], {"h": (3, 3), "t": (-2, -2)}),
        # refunded and put back nowhere
        (3, 1, [here(1)], [], {"h": (3, 1)}),
        (3, 0, [here(0)], [], {"h": (3, 0)}),
        (3, 0, [here(3)], [], {"h": (3, 0)}),
        # moved, the closed fulfilment order still naming its units
        (3, 3, [here(3), there(3)], [], {"t": (3, 3)}),
        # nothing is assigned yet, or another line is
        (3, 3, [], [], {"": (3, 3)}),
        (3, 3, [Placed("8", "h", 9)], [PutBack("8", "h", 9, sent=True)], {"": (3, 3)}),
        (0, 0, [here(3)], [PutBack("7", "h", 3, sent=False)], {}),
    ],
)
def test_a_line_by_location(taken, kept, placed, back, held) -> None:
    assert split(taken, kept, placed, back) == held


UNITS = st.integers(0, 20)
PLACES = st.sampled_from(["h", "t", "x"])


@given(
    UNITS,
    UNITS,
    st.lists(st.builds(Placed, st.just("7"), PLACES, UNITS), max_size=4),
    st.lists(st.builds(PutBack, st.just("7"), PLACES, UNITS, sent=st.booleans()), max_size=4),
)
def test_the_sum_is_what_the_line_holds(taken, kept, placed, back) -> None:
    held = split(taken, kept, placed, back)
    assert sum(units for units, _ in held.values()) == taken
    assert all(left <= units for units, left in held.values())
