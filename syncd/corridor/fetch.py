"""Fetching orders: the net under lost webhooks, and what a blind raise waits for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from syncd.connectors.budget import Priority
from syncd.connectors.http import priority
from syncd.corridor.core import Channel, Core
from syncd.db import bookmark
from syncd.db.journal import Line
from syncd.errors import DatabaseAway
from syncd.fanout import Heard, book
from syncd.stock.facts import clean, told
from syncd.stock.model import OrderNews, OrderSeen
from syncd.telemetry.logs import get_logger

log = get_logger("syncd.fetch")

FIRST_FETCH = timedelta(days=14)
"""A channel never fetched before is asked for the orders changed in this time. So is one on which
nothing changed for longer: an empty window costs nothing, and our clock may be wrong by all of it."""

CLOCK_ALLOWANCE = timedelta(hours=1)
"""A platform's clock is believed to be ahead of ours by this much at most."""

WISHES = 10_000
"""So many single orders that are due a fetch of all looks for at most."""

POISON_PAUSE = timedelta(days=1)
"""An order that could not be booked is fetched again after it, and within minutes of a restart."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def fetch_orders(
    core: Core, channel: Channel, level: Priority, overlap: timedelta = timedelta(minutes=10)
) -> int:
    """Fetch and book the orders changed since the watermark, less `overlap`; gives how many.

    The watermark is the newest change seen, by the platform's own clock: ours may be wrong. It moves
    only when the whole fetch is booked. A single order that was due to be fetched when this began
    need not be, once a page brings it. Raises what the connector raises.
    """
    began = core.clock()
    async with core.db.statement("facts_ahead") as conn:
        await bookmark.facts_ahead(conn, channel.id, began)
    async with core.db.statement("bookmark_read") as conn:
        mark = (await bookmark.bookmark(conn, channel.id)).orders_through
    async with core.db.statement("due_orders") as conn:
        wished = dict(await bookmark.due_orders(conn, channel.id, began, WISHES))
    if mark is None or mark > began + CLOCK_ALLOWANCE:
        # what lies that far ahead was written by a clock since set back, and says nothing
        mark = began - FIRST_FETCH
    fetched, through = 0, None
    with priority(level):
        async for page in channel.connector.orders_since(min(mark, began) - overlap):
            if page:
                news = [told(one) for one in page]
                looked = [(one.order, wished[one.order]) for one in news if one.order in wished]
                await book_fetched(core, channel, news, looked)
                fetched += len(page)
                through = _newest(news, began + CLOCK_ALLOWANCE, through)
    async with core.db.statement("bookmark_move") as conn:
        quiet = max(mark, began - FIRST_FETCH)
        await bookmark.orders_fetched(conn, channel.id, through or quiet, began)
    return fetched


async def book_fetched(
    core: Core,
    channel: Channel,
    news: Sequence[OrderNews],
    looked: Sequence[tuple[str, int]] = (),
) -> None:
    """Book fetched orders, and the wishes (order, wish) that this fulfils.

    What the database refuses is halved until the order that hurts stands alone: that one is told,
    and fetched again after a day or a restart. Raises DatabaseAway.
    """
    try:
        async with core.booking("orders_booked") as (conn, booking):
            await book(conn, booking, [Heard(channel.id, one) for one in news])
            if looked:
                await bookmark.orders_looked(conn, channel.id, looked)
    except DatabaseAway:
        raise
    except Exception as error:  # noqa: BLE001 - whatever an order does, the others go on
        if len(news) == 1:
            await _tell_poison(core, channel, news[0], error)
        else:
            half = len(news) // 2
            await book_fetched(core, channel, news[:half])
            await book_fetched(core, channel, news[half:])
        if looked:
            async with core.db.statement("orders_looked") as conn:
                await bookmark.orders_looked(conn, channel.id, looked)


async def _tell_poison(core: Core, channel: Channel, news: OrderNews, error: Exception) -> None:
    reason = clean(f"could not be booked: {type(error).__name__}: {error}")[:500]
    log.error("order.poison", channel=channel.name, order=news.order, error=reason)
    async with core.booking("orders_poison") as (conn, booking):
        detail: dict[str, object] = {"order": news.order}
        line = Line("unreadable", "", channel.id, reason=reason, detail=detail)
        booking.journal.append(line)
        booking.outcomes[channel.id, "poison"] += 1
        again = booking.now + POISON_PAUSE
        await bookmark.wish_orders(conn, [(channel.id, news.order)], again)


def _newest(
    news: Iterable[OrderNews], at_most: datetime, before: datetime | None
) -> datetime | None:
    """The newest change among these orders and `before`, but for those that cannot have been yet."""
    limit = (at_most - EPOCH) // timedelta(microseconds=1)
    versions = [one.version for one in news if isinstance(one, OrderSeen) and one.version <= limit]
    if not versions:
        return before
    newest = EPOCH + timedelta(microseconds=max(versions))
    return newest if before is None else max(before, newest)
