"""Settling: what is done with an open write, and what a shelf shows once it is over.

A write is closed by its own answer. Only where nobody will ever answer does a reading close it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from syncd.stock.decide import SpentKey, spent_key


class Outcome(StrEnum):
    """What an answer says about one row."""

    APPLIED = "applied"
    STALE = "stale"
    """The comparison failed: the listing does not show `from_quantity`."""
    REFUSED = "refused"
    """This row will never be accepted as it is; `reason` holds the platform's words."""
    NOT_APPLIED = "not_applied"
    """Fine in itself, but the batch it was in was dropped: send it again under a new key."""
    UNNAMED = "unnamed"
    """The batch failed without naming the row: send it again in a smaller batch."""


class Next(StrEnum):
    """What is done with an open write that is due."""

    SEND = "send"
    """The same rows under the same key."""
    WAIT = "wait"
    """It may be under way: nothing, for as long as it can still be applied."""
    READ = "read"
    """It can land no more: a reading says what became of it."""
    LANDS = "lands"
    """Its key is not recognised any more, and its last sending may still be applied: later."""
    SPENT = "spent"
    """Its key is not recognised any more: a reading is put to a person."""


def next_of(
    times_sent: int,
    created_at: datetime,
    now: datetime,
    key_lifetime_s: float,
    lands_until: datetime | None = None,
) -> Next:
    """What an open write that is due needs; `key_lifetime_s` 0: the platform knows no keys.

    `lands_until`: until then its last sending may be applied.
    """
    if key_lifetime_s > 0:
        if now - created_at <= timedelta(seconds=key_lifetime_s):
            return Next.SEND
        return Next.LANDS if lands_until is not None and now < lands_until else Next.SPENT
    # without a sending noted it was stored by a daemon that ended before it could tell: perhaps sent
    return Next.READ if times_sent else Next.WAIT


def lands_until(last_sent_at: datetime | None, late_apply_s: float) -> datetime | None:
    """Until when the last sending of a write may be applied; None: it was never noted as sent."""
    return None if last_sent_at is None else last_sent_at + timedelta(seconds=late_apply_s)


@dataclass(frozen=True, slots=True)
class Sent:
    """One row of a write as it was stored. `delta`: it moves the count and compares nothing."""

    from_quantity: int | None
    to_quantity: int
    delta: bool

    def makes(self, shown: int | None) -> int:
        """What a shelf that shows `shown` shows once this is applied."""
        if self.delta and shown is not None and self.from_quantity is not None:
            return shown + self.to_quantity - self.from_quantity
        return self.to_quantity


@dataclass(frozen=True, slots=True)
class After:
    """What a shelf shows from now on; None where nothing of that changes."""

    shown: int | None
    shown_at: datetime | None


def answered(
    sent: Sent,
    outcome: Outcome,
    stamp: datetime | None,
    *,
    shown: int | None,
    undisturbed: bool,
    blind: bool,
    now: datetime,
    guarded: bool = False,
    shown_at: datetime | None = None,
) -> After | None:
    """What a shelf shows after its row of a write was answered; None: what it did.

    `undisturbed`: nothing was booked on it since the write was claimed. `blind`: writes there are
    absolute. `guarded`: orders are the truth and a write compares first; `shown_at` as known of it.
    """
    if guarded and outcome is Outcome.APPLIED and shown is not None:
        return _guarded(sent, stamp, shown, shown_at)
    if outcome is Outcome.APPLIED:
        # where levels are the truth only the platform's own stamps are ever compared
        return After(sent.makes(shown), stamp or (now if blind else None))
    if blind and (outcome is Outcome.UNNAMED or not undisturbed):
        # a partly applied batch does not say which rows it took; and a sale booked during a
        # write that failed lowered the shelf by itself, which nobody noted
        return After(None, None)
    return None


def _guarded(sent: Sent, stamp: datetime | None, shown: int, shown_at: datetime | None) -> After:
    """A guarded write was applied: what orders took off meanwhile, they took off after it.

    A comparison that held says that no order came between the number it was made from and the
    write. A delta says nothing of that: what was true of the shelf before is true of it after.
    """
    if sent.from_quantity is None:
        return After(sent.to_quantity, stamp)
    return After(
        shown + sent.to_quantity - sent.from_quantity, shown_at if sent.delta else stamp or shown_at
    )


@dataclass(frozen=True, slots=True)
class Spent:
    """A write whose key is spent, as a reading shows it: every case is put to a person."""

    verdict: SpentKey
    wanted: int
    candidates: tuple[int, ...]
    proposal: int


def spent(
    sent: Sent,
    shown: int,
    observed: int,
    observed_at: datetime | None,
    created_at: datetime,
    landed_by: datetime,
    margin_s: float,
) -> Spent:
    """What a reading says of a write whose key is spent, and what is proposed of the rest."""
    wanted = sent.makes(shown)
    verdict = spent_key(shown, wanted, observed, observed_at, created_at, landed_by, margin_s)
    amounts = {observed - wanted, observed - shown}
    proposal = 0 if verdict is not SpentKey.UNCLEAR else min(amounts, key=abs)
    return Spent(verdict, wanted, tuple(sorted(amounts)), proposal)


def smaller_batch(batch: int) -> int:
    """In how large a batch rows go again after one of this size failed without naming a row."""
    return max(1, batch // 2)
