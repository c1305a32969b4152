"""From a level to what a listing should show: rules in one fixed order, each step kept for explain.

Where nothing is ruled, a listing shows the level. What a target was made from can be stored as plain
JSON (`stored`), and gives the very same number again (`recomputed`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from syncd.stock.spread import part_of


class Zero(StrEnum):
    """What becomes of a listing whose target is 0."""

    SHOW_ZERO = "show_zero"
    RETIRE = "retire"
    """The listing is taken out of sale on the platform, and back when there is stock again."""
    KEEP_LAST = "keep_last"
    """Nothing is written: it keeps the number it shows, less what it sells itself."""


class Allocation(StrEnum):
    """How the channels of a warehouse share an item."""

    SHARED = "shared"
    """Each shows all of it; percent and buffers do not count."""
    BUFFERED = "buffered"
    """Each shows all of it, less its percent and buffers."""
    ESCROW = "escrow"
    """Each shows its own account (`stock/escrow.py`), less its buffers; percent does not count."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How one listing shows what there is. Quantities are units; the defaults rule nothing."""

    percent: int = 100
    """Share that is offered, rounded down."""
    buffer: int = 0
    """Held back."""
    cap: int | None = None
    """No more is shown; None: no limit."""
    floor: int = 0
    """Nothing below is ever shown, whatever there is: made to order. Stronger than `cap`."""
    preorder: int = 0
    """So many may be sold before they are there: shown less what is owed already."""
    last_units: int = 0
    """With fewer left than this the other channels of the warehouse show none."""
    zero: Zero = Zero.SHOW_ZERO
    speed_hours: int = 0
    """Held back besides: what is sold in so many hours, at the speed of late."""
    announce_max: int = 0
    """No more units than these are added to what it shows at once; 0: no limit."""
    allocation: Allocation = Allocation.BUFFERED
    share: int | None = None
    """Percent of an item in escrow that are its channel's; None: as much as the others'."""
    plain: bool = field(init=False, repr=False, compare=False)
    """True where no rule can change a level above 0."""

    def __post_init__(self) -> None:
        ruled = any(
            getattr(self, f.name) != f.default for f in fields(self) if f.init and f.name != "zero"
        )
        object.__setattr__(self, "plain", not ruled)


UNRULED = Policy()


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that a target is made from besides its policy."""

    level: int
    holds: int = 0
    """Units promised and not yet booked."""
    suspense_against: int = 0
    """Units that may have been sold unseen."""
    bundle_minimum: int | None = None
    """A bundle: so many can be put together; it has no stock of its own. None: no bundle."""
    account: int | None = None
    """The channel's own units, where the allocation is escrow; None: no account was made yet."""
    unseen: int = 0
    """Units that other channels may have sold since nothing was heard of them."""
    own_unseen: int = 0
    """Units that this channel may have sold since, where by choice it shows none of what may be gone."""
    sold: int = 0
    """Units sold everywhere in the last `sold_hours`."""
    sold_hours: int = 24
    shown: int | None = None
    """What the listing shows, where no more than some units are added to that at once."""
    others_below: int = 0
    """With fewer left than this only another channel shows them."""
    others: str = ""
    """That channel."""
    own_edits: int = 0
    """Changes made on this very listing that are not settled yet; they are added after every limit, and 0 stays one."""
    gone: bool = False
    """Its source lists it no more, and its warehouse shows none of such."""
    held: int | None = None
    """What it keeps while a plan holds it, whatever the rules say. None: it is not held."""

    spread: Sequence[int | None] | None = None
    """What its channel's locations in the warehouse show, in their order; they divide the target."""
    spread_at: int = 0
    """Its own place among them."""

    @property
    def left(self) -> int:
        """What there is to sell, before any rule of a listing."""
        if self.bundle_minimum is not None:
            return self.bundle_minimum
        return self.level - self.holds - self.suspense_against - self.unseen


@dataclass(frozen=True, slots=True)
class Step:
    """One rule as it was applied: the number before and after it, and why."""

    name: str
    before: int
    after: int
    why: str


@dataclass(frozen=True, slots=True)
class Derived:
    """A target with every rule that made it."""

    target: int
    steps: tuple[Step, ...]
    zero: Zero
    """What is done with the target: always `SHOW_ZERO` where it is above 0."""


Applied = tuple[int, str] | None
"""The number after a rule and why; None where the rule is not set."""


def _holds(value: int, given: Inputs, _: Policy) -> Applied:
    return (value - given.holds, f"{given.holds} promised") if given.holds else None


def _suspense(value: int, given: Inputs, _: Policy) -> Applied:
    units = given.suspense_against
    return (value - units, f"{units} may be sold already: in suspense") if units else None


def _unseen(value: int, given: Inputs, _: Policy) -> Applied:
    units = given.unseen
    return (value - units, f"{units} may be sold unseen on a silent channel") if units else None


def _bundle(_value: int, given: Inputs, _: Policy) -> Applied:
    units = given.bundle_minimum
    return (units, f"its components make {units}") if units is not None else None


def _account(value: int, given: Inputs, policy: Policy) -> Applied:
    if policy.allocation is not Allocation.ESCROW or given.account is None:
        return None
    return min(value, given.account), f"the channel's own account holds {given.account}"


def _percent(value: int, _: Inputs, policy: Policy) -> Applied:
    if policy.percent == 100 or policy.allocation is not Allocation.BUFFERED:
        return None
    return value * policy.percent // 100, f"{policy.percent} % is offered here"


def _buffer(value: int, _: Inputs, policy: Policy) -> Applied:
    if not policy.buffer or policy.allocation is Allocation.SHARED:
        return None
    return value - policy.buffer, f"{policy.buffer} held back"


def _speed(value: int, given: Inputs, policy: Policy) -> Applied:
    if not policy.speed_hours or policy.allocation is Allocation.SHARED:
        return None
    units = -(-given.sold * policy.speed_hours // given.sold_hours)
    return value - units, f"{units} held back: {policy.speed_hours} h of sales at the speed of late"


def _last_units(value: int, given: Inputs, _: Policy) -> Applied:
    if not given.others_below:
        return None
    if given.left >= given.others_below:
        return value, f"from {given.others_below} on every channel shows them"
    return min(value, 0), f"fewer than {given.others_below} left: only {given.others} shows them"


def _silent(value: int, given: Inputs, _: Policy) -> Applied:
    units = given.own_unseen
    if not units:
        return None
    if units < given.left:
        return value, f"{units} may be sold unseen here, fewer than there are"
    return min(value, 0), f"{units} may be sold unseen here: all there are"


def _cap(value: int, _: Inputs, policy: Policy) -> Applied:
    return (min(value, policy.cap), f"at most {policy.cap}") if policy.cap is not None else None


def _announce(value: int, given: Inputs, policy: Policy) -> Applied:
    if not policy.announce_max or given.shown is None or value <= given.shown:
        return None
    most = max(given.shown, 0) + policy.announce_max
    if value <= most:
        return None
    return most, f"{policy.announce_max} more at once: it shows {given.shown}"


def _spread(value: int, given: Inputs, policy: Policy) -> Applied:
    if given.spread is None:
        return None
    floored = _floor(value, replace(given, spread=None), policy)
    whole = max(floored[0] if floored is not None else value, 0)
    part = part_of(whole, given.spread, given.spread_at)
    return part, f"{len(given.spread)} locations divide {whole}: the channel sells their sum"


def _floor(value: int, given: Inputs, policy: Policy) -> Applied:
    if given.spread is not None:
        return None  # it is in what was divided
    ahead = policy.preorder and max(0, policy.preorder + min(given.left, 0))
    if policy.floor >= ahead:
        if value >= 0 and not policy.floor:
            return (value, "nothing left to sell ahead") if policy.preorder else None
        return max(value, policy.floor), f"never less than {policy.floor}"
    return max(value, ahead), f"{ahead} more may be sold ahead"


def _own_edits(value: int, given: Inputs, _: Policy) -> Applied:
    if not given.own_edits:
        return None
    return max(0, value + given.own_edits), "changed on this listing, not settled yet"


def _gone(_value: int, given: Inputs, _: Policy) -> Applied:
    return (0, "its source lists it no more") if given.gone else None


def _held(_value: int, given: Inputs, _: Policy) -> Applied:
    return (given.held, "kept until a plan is applied") if given.held is not None else None


RULES: tuple[tuple[str, Callable[[int, Inputs, Policy], Applied]], ...] = (
    ("holds", _holds),
    ("suspense", _suspense),
    ("unseen", _unseen),
    ("bundle", _bundle),
    ("account", _account),
    ("percent", _percent),
    ("buffer", _buffer),
    ("speed", _speed),
    ("last_units", _last_units),
    ("silent", _silent),
    ("cap", _cap),
    ("spread", _spread),
    ("announce", _announce),
    ("floor", _floor),
    ("own_edits", _own_edits),
    ("gone", _gone),
    ("held", _held),
)
"""Every rule in the order it is applied."""


def _walk(given: Inputs, policy: Policy) -> Iterator[Step]:
    value = given.level
    yield Step("level", value, value, "the sum of all movements")
    for name, rule in RULES:
        applied = rule(value, given, policy)
        if applied is not None:
            yield Step(name, value, applied[0], applied[1])
            value = applied[0]


_SAID = MappingProxyType(
    {
        Zero.KEEP_LAST: "nothing is written: it keeps what it shows",
        Zero.RETIRE: "taken out of sale",
    }
)


def derive(given: Inputs, policy: Policy) -> Derived:
    """The target with every rule that is set, whether it changed the number or not."""
    steps = list(_walk(given, policy))
    value = steps[-1].after
    # where the target is divided another location may have what is left
    elsewhere = any(step.name == "spread" and step.before > 0 for step in steps)
    if value or elsewhere or policy.zero is Zero.SHOW_ZERO:
        return Derived(value, tuple(steps), Zero.SHOW_ZERO)
    steps.append(Step("zero", value, value, _SAID[policy.zero]))
    return Derived(value, tuple(steps), policy.zero)


def target(level: int, policy: Policy) -> int:
    """What a listing should show for this level where nothing else is known of it: never below 0."""
    if policy.plain:
        return max(level, 0)
    return target_of(Inputs(level), policy)


def target_of(given: Inputs, policy: Policy) -> int:
    """The same number as `derive` gives, without its steps."""
    value = given.level
    for _, rule in RULES:
        applied = rule(value, given, policy)
        if applied is not None:
            value = applied[0]
    return value


def keeps(wants: int, policy: Policy) -> bool:
    """True where this target is not written, since the listing keeps the last number it showed."""
    return wants == 0 and policy.zero is Zero.KEEP_LAST


def stored(given: Inputs, policy: Policy) -> dict[str, Any]:
    """What a target was made from, as plain JSON without defaults."""
    return {**_said(given), "policy": _said(policy)}


def kept(given: Inputs, policy: Policy) -> dict[str, Any] | None:
    """What is `stored` with a write; None where the level alone made its target."""
    if policy == UNRULED and given == Inputs(given.level):
        return None
    return stored(given, policy)


def retold(level: int, kept_inputs: Mapping[str, Any] | None) -> Derived:
    """The target of a write again, from the level and what was `kept` with it. Raises as `recomputed`."""
    if kept_inputs is None:
        return derive(Inputs(level), UNRULED)
    return recomputed(kept_inputs)


def recomputed(kept: Mapping[str, Any]) -> Derived:
    """The target again from what was stored. Raises TypeError or ValueError where other rules stored it."""
    rules = dict(kept["policy"])
    if "zero" in rules:
        rules["zero"] = Zero(rules["zero"])
    if "allocation" in rules:
        rules["allocation"] = Allocation(rules["allocation"])
    given = {name: value for name, value in kept.items() if name != "policy"}
    return derive(Inputs(**given), Policy(**rules))


def _said(record: Inputs | Policy) -> dict[str, Any]:
    found = {}
    for one in fields(record):
        value = getattr(record, one.name)
        if one.init and value != one.default:
            found[one.name] = str(value) if isinstance(value, StrEnum) else value
    return found
