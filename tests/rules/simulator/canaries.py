"""Canaries: known deviations, each planted in the production function that keeps a rule.

A canary takes `patch` as `pytest.MonkeyPatch.setattr` is taken. What it plants must be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID

from syncd import reconcile
from syncd.db import attempts, shelf
from syncd.db.shelf import ShelfChange
from syncd.fanout import Found, facts, owing, readings, states
from syncd.fanout import orders as booking_orders
from syncd.fanout.followed import Followed
from syncd.fanout.readings import book_readings
from syncd.lane import claiming, reading, writing
from syncd.lane.settling import Settling
from syncd.lane.writing import Writing
from syncd.stock import edits, settle
from syncd.stock.decide import LAG_ASKS, Meaning, ShelfNow, meaning
from syncd.stock.histories import Verdict
from syncd.stock.orders import Effect, LineKnown, News, judge
from syncd.stock.settle import After, Next, Outcome, answered, next_of
from syncd.stock.stretches import Margins, OrderStep, Seen, Stretch
from tests.rules.simulator.targets import target

Patch = Callable[[Any, str, Any], None]
FAR = 2**60
NEVER = datetime(2999, 1, 1, tzinfo=UTC)


def shown_is_forgotten_at_claim(patch: Patch) -> None:
    """A write that changed nothing leaves a shelf of which the next reading says what it shows."""

    def deviating(sent: Any, outcome: Outcome, *more: Any, **how: Any) -> After | None:
        return answered(sent, outcome, *more, **how) or After(None, None)

    patch(settle, "answered", deviating)


def a_matching_value_confirms(patch: Patch) -> None:
    """A reading or message equal to what an open attempt wants closes it as applied."""
    hint = facts._hint

    async def confirmed(conn: Any, said: dict[int, int], channels: set[int]) -> None:
        for channel in channels:
            seen: list[UUID] = []
            while rows := await attempts.open_due(conn, channel, NEVER, seen):
                seen.append(rows[0].attempt_id)
                if all(said.get(row.listing_id) == row.to_quantity for row in rows):
                    settled = [
                        attempts.Settled(
                            row.listing_id, row.to_quantity, None, changed=True, applied=row.version
                        )
                        for row in rows
                    ]
                    await attempts.settle(conn, rows[0].attempt_id, settled)

    async def reading_confirms(
        conn: Any, booking: Any, found: Sequence[Found], turn: int, at: datetime
    ) -> set[int]:
        rows = await readings.lock_readings(conn, booking, sorted({f.listing_id for f in found}))
        said = {f.listing_id: f.quantity for f in found}
        await confirmed(conn, said, {row.channel_id for row in rows if row.attempt_open})
        return await book_readings(conn, booking, found, turn, at)

    async def hint_confirms(conn: Any, booking: Any, hints: Sequence[Any]) -> None:
        for channel, location, remote, quantity, _ in hints:
            rows = await shelf.lock(conn, [], [], hinted=[(channel, location, remote)])
            said = {row.listing_id: quantity for row in rows if row.attempt_open}
            await confirmed(conn, said, {channel} if said else set())
        await hint(conn, booking, hints)

    patch(facts, "_hint", hint_confirms)
    patch(reading, "book_readings", reading_confirms)
    patch(reconcile, "book_readings", reading_confirms)


def _echoes_are(patch: Patch, echo: Callable[[Any, Found], bool], *, shows: bool) -> None:
    """Readings that `echo` recognises say nothing; with `shows` they are what is shown from now on."""

    async def deviating(
        conn: Any, booking: Any, found: Sequence[Found], turn: int, at: datetime
    ) -> set[int]:
        rows = {row.listing_id: row for row in await readings.lock_readings(
            conn, booking, sorted({f.listing_id for f in found})
        )}  # fmt: skip
        said = [
            f
            for f in found
            if not rows[f.listing_id].attempt_open
            and rows[f.listing_id].turn <= turn
            and echo(rows[f.listing_id], f)
        ]
        if shows and said:
            await shelf.change(conn, [ShelfChange(f.listing_id, f.quantity, f.at) for f in said])
        return await book_readings(conn, booking, [f for f in found if f not in said], turn, at)

    patch(reading, "book_readings", deviating)
    patch(reconcile, "book_readings", deviating)


def equal_to_our_newest_write_is_an_echo(patch: Patch) -> None:
    written: dict[int, int] = {}
    settled = Settling._settled

    def noting(self: Settling, row: Any, result: Any, *more: Any) -> Any:
        if result.outcome is Outcome.APPLIED:
            written[row.listing_id] = row.to_quantity
        return settled(self, row, result, *more)

    patch(Settling, "_settled", noting)
    _echoes_are(patch, lambda row, f: written.get(row.listing_id) == f.quantity, shows=True)


def equal_to_the_target_is_an_echo(patch: Patch) -> None:
    targets: dict[int, int] = {}
    owe = owing.owe_deliveries

    async def noting(conn: Any, booking: Any, shelves: Any, levels: Any, *more: Any) -> None:
        rows = list(shelves)
        for row in rows:
            key = row.item_id, row.warehouse_id
            rules = booking.rules.channels.get(row.channel_id)
            if key in levels and rules is not None:
                targets[row.listing_id] = target(
                    rules, row.listing_id, row.sku, key[1], levels[key]
                )
        await owe(conn, booking, rows, levels, *more)

    for place in (readings, booking_orders, owing):
        patch(place, "owe_deliveries", noting)
    _echoes_are(patch, lambda row, f: targets.get(row.listing_id) == f.quantity, shows=True)


def ages_by_our_own_clock(patch: Patch) -> None:
    """A shelf is dated by when we heard of it, and the platform's stamps are compared with that."""
    after = readings._after

    def dated(booking: Any, row: Any, found: Any, *more: Any) -> Any:
        now = after(booking, row, found, *more)
        return now if now is row else replace(now, shown_at=booking.now)

    def settled(*args: Any, now: datetime, **how: Any) -> After | None:
        found = answered(*args, now=now, **how)
        return found and After(found.shown, now)

    patch(readings, "_after", dated)
    patch(settle, "answered", settled)


def a_lost_answer_goes_again_under_a_new_key(patch: Patch) -> None:
    stored, numbers = writing.as_write, count(1)
    patch(
        writing,
        "as_write",
        lambda rows: replace(stored(rows), key=str(UUID(int=next(numbers)))),
    )


def a_spent_key_is_believed_for_ever(patch: Patch) -> None:
    def deviating(times_sent: int, created_at: Any, now: Any, life_s: float, *more: Any) -> Next:
        return Next.SEND if life_s > 0 else next_of(times_sent, created_at, now, life_s, *more)

    patch(writing, "next_of", deviating)


# --- one for each other rule -------------------------------------------------------------------


def readings_are_booked_whatever_their_turn(patch: Patch) -> None:
    def deviating(row: ShelfNow, observed: int, at: Any, asked_turn: int) -> Meaning:
        return meaning(replace(row, turn=0, attempt_open=False), observed, at, asked_turn)

    patch(readings, "meaning", deviating)


def a_lagging_replica_is_believed(patch: Patch) -> None:
    def deviating(row: ShelfNow, observed: int, at: Any, asked_turn: int) -> Meaning:
        return meaning(replace(row, lag_asks=LAG_ASKS), observed, at, asked_turn)

    patch(readings, "meaning", deviating)


def a_level_message_is_arithmetic(patch: Patch) -> None:
    """What a message says about a level is booked like a reading made now."""

    async def deviating(conn: Any, booking: Any, hints: Sequence[Any]) -> None:
        for channel, location, remote, quantity, _ in hints:
            rows = await shelf.lock(conn, [], [], hinted=[(channel, location, remote)])
            if quantity is not None:
                found = [Found(row.listing_id, quantity, None) for row in rows]
                await book_readings(conn, booking, found, FAR, booking.now)

    patch(facts, "_hint", deviating)


def a_stale_compare_counts_as_applied(patch: Patch) -> None:
    def deviating(sent: Any, outcome: Outcome, *more: Any, **how: Any) -> After | None:
        said = Outcome.APPLIED if outcome is Outcome.STALE else outcome
        return answered(sent, said, *more, **how)

    patch(settle, "answered", deviating)


def orders_are_arithmetic(patch: Patch) -> None:
    """Every message of an order deducts what it says, however often it comes."""

    def deducts(line: Any, known: LineKnown | None, *, baseline: bool, **_: Any) -> Effect:
        revision = known.revision + 1 if known else 1
        state = LineKnown(line.taken, line.taken, revision)
        return Effect(state, 0 if baseline else -line.taken, line.taken)

    patch(states, "judge", lambda *_, **__: News.ACCEPT)
    patch(booking_orders, "effect", deducts)


def an_older_state_of_an_order_counts(patch: Patch) -> None:
    patch(states, "judge", lambda *_, **__: News.ACCEPT)


def one_version_with_two_contents_is_one(patch: Patch) -> None:
    def deviating(*given: Any, **how: Any) -> News:
        found = judge(*given, **how)
        return News.OLD if found is News.AMBIGUOUS else found

    patch(states, "judge", deviating)


def a_time_out_counts_as_not_applied(patch: Patch) -> None:
    """A blind write nobody answered is over at once, and the next one is sent."""
    unclear = Writing._unclear

    async def deviating(self: Writing, rows: Sequence[Any], reason: str) -> None:
        if self._keyed:
            await unclear(self, rows, reason)
        else:
            await self._settling.not_sent(rows, self.lease_gen)

    patch(Writing, "_unclear", deviating)


def a_keyed_time_out_counts_as_not_applied(patch: Patch) -> None:
    async def deviating(self: Writing, rows: Sequence[Any], reason: str) -> None:
        await self._settling.not_sent(rows, self.lease_gen)

    patch(Writing, "_unclear", deviating)


def a_line_that_vanished_is_kept(patch: Patch) -> None:
    patch(booking_orders, "_all_lines", lambda seen, _: seen.lines)


def what_is_shown_is_never_owed_again(patch: Patch) -> None:
    """A delivery is dropped where the newest target equals the one before."""
    patch(claiming, "way", lambda *_, **__: None)


# --- edits on blind channels -------------------------------------------------------------------


def writes_begin_no_stretch(patch: Patch) -> None:
    patch(Followed, "answered_write", lambda *_, **__: None)


def a_silent_write_was_answered(patch: Patch) -> None:
    def answered(self: Followed, value: int, *, late: bool) -> None:
        assert self.open is not None
        self.answered_write(self.open.over_there(self.now), value)

    patch(Followed, "silent_write", answered)


def order_steps_are_not_heard(patch: Patch) -> None:
    """Those that turn up late explain nothing any more."""
    patch(Followed, "hear", lambda *_: None)


def what_has_two_answers_is_booked(patch: Patch) -> None:
    verdict = edits.verdict

    def booked(stretch: Stretch, steps: Iterable[OrderStep], margins: Margins) -> Verdict:
        found = verdict(stretch, steps, margins)
        return Verdict((found.proposal,), found.proposal)

    patch(edits, "verdict", booked)


def clocks_are_ours(patch: Patch) -> None:
    """Readings are dated by our clock, orders by the platform's."""
    read = Followed.read

    def ours(self: Followed, seen: Seen, read_at: datetime) -> None:
        read(self, Seen(read_at, seen.value), read_at)

    patch(Followed, "read", ours)


def an_order_moved_its_shelf_when_it_changed_last(patch: Patch) -> None:
    """Of an order that changed several times unheard, the last change did it all."""
    step_of = booking_orders.step_of

    def dated(*said: Any) -> OrderStep | None:
        step = step_of(*said)
        return step._replace(doubt=None) if step is not None and step.units else None

    patch(booking_orders, "step_of", dated)


CANARIES: tuple[tuple[Callable[[Patch], None], str, range], ...] = (
    (shown_is_forgotten_at_claim, "heavy", range(100)),
    (a_matching_value_confirms, "heavy", range(100)),
    (equal_to_our_newest_write_is_an_echo, "heavy", range(100)),
    (equal_to_the_target_is_an_echo, "heavy", range(100)),
    (ages_by_our_own_clock, "heavy", range(100)),
    (a_lost_answer_goes_again_under_a_new_key, "heavy", range(100)),
    (a_spent_key_is_believed_for_ever, "spent", range(100)),
    (readings_are_booked_whatever_their_turn, "heavy", range(100)),
    (a_lagging_replica_is_believed, "heavy", range(100)),
    (a_level_message_is_arithmetic, "heavy", range(100)),
    (a_stale_compare_counts_as_applied, "heavy", range(100)),
    (a_keyed_time_out_counts_as_not_applied, "heavy", range(100)),
    (orders_are_arithmetic, "overwrite", range(100)),
    (an_older_state_of_an_order_counts, "overwrite", range(100)),
    (one_version_with_two_contents_is_one, "overwrite", range(100)),
    (a_time_out_counts_as_not_applied, "overwrite", range(100)),
    (what_is_shown_is_never_owed_again, "overwrite", range(100)),
    (writes_begin_no_stretch, "adopt", range(100)),
    (a_silent_write_was_answered, "adopt", range(100)),
    (order_steps_are_not_heard, "adopt", range(100)),
    (what_has_two_answers_is_booked, "adopt", range(100)),
    (clocks_are_ours, "adopt", range(100)),
    (an_order_moved_its_shelf_when_it_changed_last, "restless", range(100)),
)
"""Each deviation, the kind of run that shows it, and the seeds within which it is seen."""
