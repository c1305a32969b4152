"""Posted movements: what an order took already is not taken again, whoever is heard first."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.stock.picks import (
    FOR_ORDERS,
    LEAVING,
    GoneOut,
    Named,
    Post,
    Standing,
    posted,
    refusal,
    waiting,
)

NONE = GoneOut()
UNITS = st.integers(1, 1_000_000_000)


@pytest.mark.parametrize(
    ("post", "delta", "named", "standing", "effect"),
    [
        (Post.RECEIPT_DIRECT, 24, Named.NOTHING, Standing.BOOKED, 24),
        (Post.RECEIPT_STAGED, 24, Named.NOTHING, Standing.KEPT, 0),
        (Post.PUTAWAY, 24, Named.NOTHING, Standing.BOOKED, 24),
        (Post.RECEIPT_CROSS_DOCK, 2, Named.BOOKED, Standing.KEPT, 0),
        (Post.RECEIPT_CROSS_DOCK, 2, Named.UNHEARD, Standing.PROVISIONAL, 0),
        (Post.RECEIPT_CROSS_DOCK, 2, Named.FOREIGN, Standing.BOOKED, 2),
        (Post.PICK, -2, Named.BOOKED, Standing.KEPT, 0),
        (Post.PICK, -2, Named.UNHEARD, Standing.PROVISIONAL, 0),
        (Post.PICK, -2, Named.NOTHING, Standing.BOOKED, -2),
        (Post.PICK, -2, Named.FOREIGN, Standing.BOOKED, -2),
        (Post.SHIPMENT, -2, Named.BOOKED, Standing.KEPT, 0),
        (Post.ADJUSTMENT, -3, Named.BOOKED, Standing.BOOKED, -3),
        (Post.STOCKTAKE, 5, Named.NOTHING, Standing.BOOKED, 5),
        (Post.TRANSFER, -5, Named.NOTHING, Standing.BOOKED, -5),
    ],
)
def test_what_a_movement_does(
    post: Post, delta: int, named: Named, standing: Standing, effect: int
) -> None:
    done = posted(post, delta, named, NONE)
    assert (done.standing, done.effect) == (standing, effect)


@pytest.mark.parametrize(
    ("post", "delta", "says"),
    [
        (Post.PICK, 2, "below 0"),
        (Post.SHIPMENT, 2, "below 0"),
        (Post.RECEIPT_DIRECT, -2, "above 0"),
        (Post.RECEIPT_STAGED, -2, "above 0"),
        (Post.PUTAWAY, -2, "above 0"),
        (Post.RECEIPT_CROSS_DOCK, 2, "names the order"),
        (Post.ADJUSTMENT, 0, "moves nothing"),
    ],
)
def test_what_cannot_be_is_refused_in_words(post: Post, delta: int, says: str) -> None:
    assert says in refusal(post, delta, names_order=False)


@pytest.mark.parametrize("post", [Post.ADJUSTMENT, Post.STOCKTAKE, Post.TRANSFER])
@pytest.mark.parametrize("delta", [-7, 7])
def test_corrections_go_both_ways(post: Post, delta: int) -> None:
    assert refusal(post, delta, names_order=False) == ""


Moves = list[tuple[Post, int]]


def effects(moves: Moves, named: Named) -> int:
    """What these movements for one order move together."""
    total, gone_out = 0, NONE
    for post, delta in moves:
        total += posted(post, delta, named, gone_out).effect
        gone_out = gone_out.after(post, delta)
    return total


MOVES = st.lists(st.tuples(st.sampled_from(sorted(LEAVING)), UNITS.map(lambda n: -n)), max_size=4)


@given(MOVES)
def test_movements_for_one_order_commute(moves: Moves) -> None:
    assert len({effects(list(order), Named.FOREIGN) for order in permutations(moves)}) == 1


def test_who_posts_picks_and_shipments_speaks_of_the_same_units() -> None:
    both: Moves = [(Post.PICK, -2), (Post.SHIPMENT, -1), (Post.SHIPMENT, -1)]
    assert effects(both, Named.FOREIGN) == -2


@given(st.sampled_from(sorted(FOR_ORDERS)), UNITS)
def test_an_order_is_conserved_whichever_is_heard_first(post: Post, units: int) -> None:
    delta = units if post is Post.RECEIPT_CROSS_DOCK else -units
    first = posted(post, delta, Named.UNHEARD, NONE).effect
    after = posted(post, delta, Named.BOOKED, NONE).effect
    assert first == after == 0


@given(UNITS, MOVES)
def test_what_waits_is_what_was_sold_and_has_not_left(sold: int, moves: Moves) -> None:
    gone_out = NONE
    for post, delta in moves:
        gone_out = gone_out.after(post, delta)
    assert waiting(sold, gone_out) == max(0, sold - max(gone_out.picked, gone_out.shipped))
