"""Escrow: every channel sells from an account of its own, and units move between accounts by transfers.

One account per (item, warehouse, channel). While a transfer is under way its units are in no account:
the giver has to show less before the taker may show more. So all channels together never show more
than there is, as long as accounts and transfers add up to the stock and no account is below 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Accounts = Mapping[str, int]
"""Units by channel; below 0 where a channel sold more than it had."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Units that go from one channel's account to another's; always above 0."""

    giver: str
    taker: str
    units: int


def shares(units: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Divide units by weight, without remainder: what is left over goes to the largest fractions.

    The first named wins a tie; a weight of 0 gets nothing. Raises ValueError where no weight is
    above 0, or units are below 0.
    """
    total = sum(weights.values())
    if units < 0 or total <= 0 or min(weights.values()) < 0:
        raise ValueError("needs units of 0 or more and weights of which one is above 0")
    parts = {name: units * weight // total for name, weight in weights.items()}
    left = units - sum(parts.values())
    by_fraction = sorted(weights, key=lambda name: -(units * weights[name] % total))
    for name in by_fraction[:left]:
        parts[name] += 1
    return parts


def moved(accounts: Accounts, channel: str, delta: int) -> dict[str, int]:
    """A sale, a return or a delivery moves the account of its own channel alone."""
    return {**accounts, channel: accounts.get(channel, 0) + delta}


def settled(accounts: Accounts, difference: int, order: list[str]) -> dict[str, int]:
    """Spread a change of the stock that is no channel's own (a count, an edit, damage).

    A rise goes to the first in `order`. A fall takes what each has, in that order; what nobody has
    is the first one's oversell. Raises ValueError without an order.
    """
    if not order:
        raise ValueError("needs at least one channel")
    after = {**dict.fromkeys(order, 0), **accounts}
    if difference >= 0:
        after[order[0]] += difference
        return after
    missing = -difference
    for name in order:
        less = min(max(after[name], 0), missing)
        after[name] -= less
        missing -= less
    after[order[0]] -= missing
    return after


def rebalancing(accounts: Accounts, weights: Mapping[str, int]) -> list[Transfer]:
    """The fewest units that move to bring accounts to their weights' shares; debts are filled first.

    Channels without a weight give all they have. Nothing moves where everything is sold. Raises
    ValueError as `shares` does.
    """
    names = list(dict.fromkeys([*weights, *accounts]))
    wanted = shares(max(sum(accounts.values()), 0), weights)
    spare = {name: accounts.get(name, 0) - wanted.get(name, 0) for name in names}
    givers = [name for name in names if spare[name] > 0]
    takers = sorted((n for n in names if spare[n] < 0), key=lambda n: accounts.get(n, 0) >= 0)
    found = []
    for giver in givers:
        left = spare[giver]
        for taker in takers:
            units = min(left, -spare[taker])
            if units:
                found.append(Transfer(giver, taker, units))
                spare[taker] += units
                left -= units
    return found


def begun(accounts: Accounts, transfer: Transfer) -> dict[str, int]:
    """The giver's account once a transfer is under way. Raises ValueError where it lacks the units."""
    if not 0 < transfer.units <= accounts.get(transfer.giver, 0):
        raise ValueError("an account gives no more than it has")
    return moved(accounts, transfer.giver, -transfer.units)


def ended(accounts: Accounts, transfer: Transfer) -> dict[str, int]:
    """The taker's account once the giver's shelf is known to show the smaller number."""
    return moved(accounts, transfer.taker, transfer.units)


def landed(accounts: Accounts, transfer: Transfer) -> dict[str, int]:
    """As `ended`, but what the giver sold meanwhile beyond its account is filled first."""
    owes = max(0, -accounts.get(transfer.giver, 0))
    kept = min(owes, transfer.units)
    after = moved(accounts, transfer.giver, kept)
    return moved(after, transfer.taker, transfer.units - kept)


def spread(accounts: Accounts, difference: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Put a change of the stock that is no channel's own on the accounts.

    A rise goes to those that are furthest below their weights' shares, debts included: nobody shows it
    yet. A fall takes what each has, the heaviest first. Raises ValueError as `shares` does.
    """
    if difference <= 0:
        order = sorted(weights, key=lambda name: -weights[name])
        return settled(accounts, difference, order) if difference else dict(accounts)
    names = list(dict.fromkeys([*weights, *accounts]))
    wanted = shares(max(sum(accounts.values()) + difference, 0), weights)
    gaps = {n: max(wanted.get(n, 0) - accounts.get(n, 0), 0) for n in names}
    after = dict(accounts)
    for name, units in shares(difference, gaps).items():
        after = moved(after, name, units)
    return after


@dataclass(frozen=True, slots=True)
class Change:
    """What a channel did that moved the stock: its own sales and returns, or an edit of its shelf."""

    channel: str
    units: int
    edited: bool = False


def booked(
    accounts: Accounts,
    level: int,
    under_way: int,
    changes: Sequence[Change],
    weights: Mapping[str, int],
) -> dict[str, int]:
    """The accounts after a booking: they and what is under way make the level again.

    A channel's own sale moves its own account alone. An edit of its shelf is shown there already: a
    rise is its own, a fall its own as far as it has units. What else moved the level is nobody's.
    """
    after = {**dict.fromkeys(weights, 0), **accounts}
    others = sorted(after, key=lambda name: -weights.get(name, 0))
    for change in changes:
        if change.channel not in after:
            continue
        if change.edited:
            first = [change.channel, *(name for name in others if name != change.channel)]
            after = settled(after, change.units, first)
        else:
            after = moved(after, change.channel, change.units)
    rest = level - under_way - sum(after.values())
    return spread(after, rest, weights or dict.fromkeys(after, 1))


def is_uneven(accounts: Accounts, weights: Mapping[str, int]) -> bool:
    """True where rebalancing pays: somebody has less than half of its share, or has one without weight."""
    if any(units and not weights.get(name) for name, units in accounts.items()):
        return True
    wanted = shares(max(sum(accounts.values()), 0), weights)
    return any(2 * accounts.get(name, 0) < units for name, units in wanted.items())
