"""One run from its seed to its end, and the judgement over it."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any

from syncd.db import inbox
from syncd.db.inbox import NewEvent
from syncd.stock.policy import Zero
from syncd.stock.rulebook import Rulebook, with_claimants
from tests.rules.simulator.daemon import Daemon, Heard, on_dictionaries, rules_of
from tests.rules.simulator.loop import Circling, VirtualLoop
from tests.rules.simulator.platform import NOON, Place, Platform, listed
from tests.rules.simulator.setting import Setting, setting
from tests.rules.simulator.tables import ChannelRow, LevelRow, Listing, ShelfRow, Tables
from tests.rules.simulator.targets import target
from tests.rules.simulator.twins import ledger as ledger_twin


@dataclass
class Outcome:
    """How a run ended. `levels`: item and warehouse → (what the ledger has, what is true).

    `questions`: the candidates of what is in suspense.
    """

    seed: int
    setting: Setting
    levels: dict[tuple[int, int], tuple[int, int]]
    questions: dict[tuple[int, int], list[tuple[int, ...]]]
    problems: list[str]
    movements: int = 0
    calls: int = 0
    lives: int = 0

    @property
    def right(self) -> bool:
        return all(has == true for has, true in self.levels.values())

    @property
    def asked(self) -> int:
        return sum(len(doubts) for doubts in self.questions.values())

    @property
    def silently_wrong(self) -> bool:
        """True where the ledger is wrong by what no answer to a question could make right."""
        for key, (has, true) in self.levels.items():
            gaps = {0}
            for candidates in self.questions.get(key, ()):
                gaps = {gap + units for gap in gaps for units in candidates}
            if true - has not in gaps:
                return True
        return False

    @property
    def fine(self) -> bool:
        return not self.silently_wrong and not self.problems

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.levels} {self.problems} in {self.setting}"


@dataclass
class World:
    """Platforms and daemon around one set of tables."""

    seed: int
    setting: Setting
    loop: VirtualLoop = field(default_factory=VirtualLoop)
    tables: Tables = field(default_factory=Tables)
    log: Heard = field(default_factory=Heard)
    platforms: dict[int, Platform] = field(default_factory=dict)
    told: int = 0

    def __post_init__(self) -> None:
        self.rng = Random(f"weather {self.seed}")
        for number, shop in enumerate(self.setting.shops, 1):
            rng = Random(f"{shop.name} {self.seed}")
            platform = Platform(shop, self.setting, self.loop, rng, partial(self.tell, number))
            listed(platform, self.setting)
            self.platforms[number] = platform
        self.rules = Rulebook(with_claimants(rules_of(self.setting).values()))
        self._fill()
        self.daemon = Daemon(
            self.loop,
            self.tables,
            self.setting,
            self.rules,
            self.platforms,
            Random(f"daemon {self.seed}"),
        )

    # --- before it begins ---

    def _fill(self) -> None:
        """Everything is counted and linked an hour before, and every shelf shows its target."""
        tables, long_ago = self.tables, NOON - timedelta(hours=1)
        tables.items = {sku: number for number, sku in enumerate(self.setting.skus, 1)}
        for number, platform in self.platforms.items():
            shop = platform.shop
            tables.channels[number] = ChannelRow(shop.name)
            places = dict(shop.places)
            for (remote, location), quantity in platform.shelf.items():
                sku = remote.split("/")[0]
                one, key = len(tables.listings) + 1, (tables.items[sku], places[location])
                tables.warehouses[key[1]] = long_ago
                tables.levels.setdefault(key, LevelRow(self.setting.stock, long_ago, long_ago))
                tables.listings[one] = Listing(
                    one, number, location, remote, "", "", sku, "", *key, True, ""
                )
                tables.named[number, location, remote] = one
                stamp = platform.stamp[remote, location] if shop.stamps else None
                tables.shelves[one] = ShelfRow(quantity, stamp)
                tables.turn += 1

    # --- messages ---

    def tell(self, channel: int, topic: str, fact: Any) -> None:
        """A platform sends a message; it comes, or not, soon or late, once or twice."""
        rng, weather = self.rng, self.setting.weather
        if rng.random() < weather.lost:
            return
        copies = 2 if rng.random() < weather.twice else 1
        same = rng.random() < 0.5
        for _ in range(copies):
            if not (same and copies == 2 and _ == 1):
                self.told += 1
            delay_s = rng.expovariate(0.7)
            if rng.random() < weather.late:
                delay_s = rng.uniform(20, 120)
            event = channel, self.told, topic, fact
            self.loop.call_later(delay_s, self._knock, event, 3)

    def _knock(self, event: tuple[int, int, str, Any], tries: int) -> None:
        core = self.daemon.core
        if core is None:
            if tries:
                self.loop.call_later(self.rng.uniform(2, 20), self._knock, event, tries - 1)
            return
        channel, number, topic, fact = event
        now = core.clock()
        new = NewEvent(channel, number.to_bytes(8, "big"), topic, fact, None, now)
        self.loop.create_task(inbox.store(self.tables, [new], now))  # type: ignore[arg-type]
        core.bells.intake.set()

    # --- the run ---

    def run(self) -> Outcome:
        """Trade under all that goes wrong, then calm, then judgement."""
        setting, loop = self.setting, self.loop
        for number, platform in self.platforms.items():
            rng = Random(f"people {number} {self.seed}")
            loop.repeat(partial(_pause, rng, setting.sale_s), platform.sell, setting.run_s)
            loop.repeat(partial(_pause, rng, setting.edit_s), platform.type_count, setting.run_s)
            for _ in range(setting.weather.outages):
                begin = rng.uniform(0, setting.run_s * 0.8)
                loop.call_later(begin, setattr, platform, "down", True)
                back = begin + rng.uniform(*setting.weather.outage_s)
                loop.call_later(back, setattr, platform, "down", False)
        loop.call_later(setting.run_s, self._calm)
        with on_dictionaries(self.log):
            loop.call_soon(self.daemon.start)
            try:
                loop.run_until(setting.run_s + setting.calm_s)
            except Circling as error:
                self.log.failures.append(str(error))
            outcome = self._judged()
            self.daemon.stop()
        return outcome

    def _calm(self) -> None:
        self.daemon.calm = True
        for platform in self.platforms.values():
            platform.calm = True

    # --- the judgement ---

    def _judged(self) -> Outcome:
        tables = self.tables
        true = dict.fromkeys(tables.levels, self.setting.stock)
        problems = [*self.log.failures, *self.loop.errors, *self.daemon.ended_badly()]
        for listing in tables.listings.values():
            assert listing.item_id is not None
            assert listing.warehouse_id is not None
            place = listing.remote, listing.location
            true[listing.item_id, listing.warehouse_id] += self.platforms[
                listing.channel_id
            ].effect(place)
            problems += self._shelf_problems(listing, place)
        problems += self._order_problems()
        questions: dict[tuple[int, int], list[tuple[int, ...]]] = {}
        for one, doubt in tables.doubts:
            listing = tables.listings[one]
            assert listing.item_id is not None
            assert listing.warehouse_id is not None
            key = listing.item_id, listing.warehouse_id
            questions.setdefault(key, []).append(tuple(doubt.candidates))
        for (one, _), asked in tables.questions.items():
            listing = tables.listings[one]
            key = listing.item_id or 0, listing.warehouse_id or 0
            questions.setdefault(key, []).append(tuple(asked.candidates))
        return Outcome(
            self.seed,
            self.setting,
            {key: (level.quantity, true[key]) for key, level in tables.levels.items()},
            questions,
            problems,
            len(tables.movements),
            sum(p.calls for p in self.platforms.values()),
            self.daemon.lives,
        )

    def _shelf_problems(self, listing: Listing, place: Place) -> list[str]:
        """A shelf that shows neither its target nor has a name for why not."""
        rules = self.rules.channels[listing.channel_id]
        assert listing.warehouse_id is not None
        wants = target(
            rules, listing.id, listing.sku, listing.warehouse_id, self._standing(listing)
        )
        shows = self.platforms[listing.channel_id].shelf[place]
        if shows == wants or (wants == 0 and rules.policy.zero is Zero.KEEP_LAST):
            return []
        if self.tables.shelves[listing.id].quarantined:
            return []
        parked = self.tables.outbox.get(listing.id)
        if parked is not None and parked.parked_at is not None:
            return [f"{rules.name} {place} is parked: {parked.reason}"]
        return [f"{rules.name} {place} shows {shows}, not {wants}"]

    def _standing(self, listing: Listing) -> Any:
        """What the target of a listing is made from, as the walkers find it."""
        key = listing.item_id or 0, listing.warehouse_id or 0
        return ledger_twin.standing(self.tables, key)

    def _order_problems(self) -> list[str]:
        """An older value after a newer one, writes that never end, questions left open."""
        found: list[str] = []
        moved_s = max(platform.moved_s for platform in self.platforms.values())
        for platform in self.platforms.values():
            newest: dict[Place, str] = {}
            for one in platform.applied:
                if one.key < newest.get(one.place, ""):
                    found.append(f"{platform.shop.name} {one.place}: an older write after a newer")
                newest[one.place] = max(one.key, newest.get(one.place, ""))
            last_s = max((one.at_s for one in platform.applied), default=0.0)
            if last_s > moved_s + self.setting.still_s:
                found.append(f"{platform.shop.name} is written to {last_s - moved_s:.0f} s later")
        found += self._too_many_steps()
        found += self._phantoms()
        if self.tables.attempts:
            found.append(f"{len(self.tables.attempts)} attempts stay open")
        if self.tables.queue or self.tables.parked:
            found.append(f"events wait: {self.tables.queue} or are parked: {self.tables.parked}")
        return found

    def _too_many_steps(self) -> list[str]:
        """No order line is booked more often than its order has changed."""
        found = []
        for movement in self.tables.movements.values():
            name, order, rest = movement.cause.partition(":order:")
            if not order:
                continue
            changes = self.platforms[movement.channel_id].orders[rest.split(":")[0]].changes
            if int(rest.rpartition(":r")[2]) > changes:
                found.append(f"{name}: {rest} is booked more often than it changed ({changes})")
        return found

    def _phantoms(self) -> list[str]:
        """Where levels are the truth nothing is booked that did not happen, not for a moment.

        Differences are booked in the order of the platform's stamps, and together they are no more
        than people really moved: merged they can only be less.
        """
        newest: dict[int, Any] = {}
        booked: dict[int, int] = {}
        found = []
        for movement in self.tables.movements.values():
            name, level, rest = movement.cause.partition(":level:")
            if not level:
                continue
            one, at = int(rest.split(":")[0]), movement.occurred_at
            if at < newest.get(one, at):
                found.append(f"{name} {one}: an older reading was booked after a newer")
            newest[one] = max(at, newest.get(one, at))
            booked[one] = booked.get(one, 0) + abs(movement.delta)
        for one, units in booked.items():
            listing = self.tables.listings[one]
            platform = self.platforms[listing.channel_id]
            swung = platform.swung.get((listing.remote, listing.location), 0)
            if units > swung:
                found.append(f"{platform.shop.name} {one}: {units} units booked, {swung} moved")
        return found


def _pause(rng: Random, mean_s: float) -> float:
    return rng.uniform(0.3, 1.7) * mean_s


def ran(seed: int, kind: str, given: Setting | None = None) -> Outcome:
    """One run of a seed."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return World(seed, given or setting(seed, kind)).run()
    finally:
        if collects:
            gc.enable()


def runs(seeds: Sequence[int], kind: str) -> list[Outcome]:
    return [ran(seed, kind) for seed in seeds]
