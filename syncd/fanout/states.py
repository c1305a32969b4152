"""Which states of orders are news: one per order, newer than what is stored, and beyond doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from syncd.db import ledger
from syncd.db.ledger import OrderNew
from syncd.db.pool import Connection
from syncd.fanout.booking import Booking, Heard
from syncd.stock.model import OrderSeen, Truth
from syncd.stock.orders import (
    News,
    OrderKnown,
    contradict,
    digest,
    in_doubt,
    judge,
    newest,
    time_of,
)
from syncd.stock.rulebook import ChannelRules


@dataclass(frozen=True, slots=True)
class Order:
    """A state of an order; `unsure`: another one of its version was heard with it.

    `known_at`: when the state that was known before was its newest; None: none was, or in doubt.
    """

    heard: Heard
    seen: OrderSeen
    rules: ChannelRules
    unsure: bool = False
    known_at: datetime | None = None


def newest_states(booking: Booking, heard: Sequence[Heard]) -> list[Order]:
    """One state per order, sorted by (channel, order): the lock order."""
    found: dict[tuple[int, str], Order] = {}
    for one in heard:
        rules = booking.rules.channels.get(one.channel_id)
        if not isinstance(one.fact, OrderSeen) or rules is None or rules.truth is Truth.NONE:
            continue
        if one.fact.gone:
            booking.outcomes[one.channel_id, "gone"] += 1
            continue
        key = one.channel_id, one.fact.order
        order = Order(one, one.fact, rules)
        if key in found:
            order = _newer(found[key], order)
            booking.outcomes[one.channel_id, "merged"] += 1
        found[key] = order
    return [found[key] for key in sorted(found)]


def _newer(first: Order, second: Order) -> Order:
    won = second if newest(first.seen, second.seen) is second.seen else first
    still = first.unsure and won.seen.version == first.seen.version and not won.seen.terminal
    return replace(won, unsure=still or contradict(first.seen, second.seen))


async def accepted(
    conn: Connection, booking: Booking, orders: Sequence[Order]
) -> list[tuple[Order, bool]]:
    """Lock the orders and keep those with news: (order, it was unknown before)."""
    news = {
        (o.rules.id, o.seen.order): OrderNew(
            o.rules.id,
            o.seen.order,
            o.seen.number,
            o.seen.version,
            digest(o.seen),
            o.seen.terminal,
            o.seen.created or o.seen.at,
        )
        for o in orders
    }
    if not news:
        return []
    believed: list[tuple[Order, bool]] = []
    newer: list[OrderNew] = []
    unclear: list[tuple[int, str]] = []
    unheard: list[tuple[int, str]] = []
    by_key = {(o.rules.id, o.seen.order): o for o in orders}
    for known in await ledger.enter_orders(conn, list(news.values())):
        key = known.channel_id, known.order_id
        order, new = by_key[key], news[key]
        before = None if known.fresh else OrderKnown(known.version, known.digest, known.terminal)
        unsure = order.unsure or (order.heard.event_id is not None and in_doubt(before, order.seen))
        verdict = judge(before, order.seen, new.digest, unsure=unsure)
        if verdict is News.ACCEPT:
            doubtful = before is None or in_doubt(before, order.seen)
            known_at = None if doubtful else time_of(known.version)
            believed.append((replace(order, known_at=known_at), known.fresh))
            if not known.fresh:
                newer.append(new)
        elif verdict is News.AMBIGUOUS:
            booking.unclear.append(key)
            (unheard if known.fresh else unclear).append(key)
        booking.outcomes[known.channel_id, _outcome(verdict)] += 1
    if newer:
        await ledger.update_orders(conn, newer)
    if unclear:
        # the fetched answer is believed: one version back, it is accepted
        await ledger.update_orders(
            conn, [replace(news[k], version=news[k].version - 1) for k in unclear]
        )
    if unheard:
        # known only by doubt is unknown: what is fetched may still be inside a first count
        await ledger.forget_orders(conn, unheard)
    return believed


def _outcome(verdict: News) -> str:
    return {News.ACCEPT: "booked", News.OLD: "old", News.AMBIGUOUS: "ambiguous"}[verdict]
