"""What a run is like: which channels there are, how they trade, and all that goes wrong."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

from syncd.connectors.base import WriteKind
from syncd.stock.model import Edits, Truth
from syncd.stock.orders import CommitOn, Restock
from syncd.stock.policy import Policy, Zero

LONG = 72_000.0


@dataclass(frozen=True)
class Shop:
    """One channel and the platform behind it. Shares are 0..1."""

    name: str
    truth: Truth
    write: WriteKind
    edits: Edits = Edits.ADOPT
    places: tuple[tuple[str, int], ...] = (("", 1),)
    """(location, the warehouse it feeds)."""
    key_lifetime_s: float = LONG
    atomic: bool = False
    read_max: int = 50
    batch_max: int = 50
    stamps: bool = True
    coarse: bool = False
    """Versions and stamps of orders count whole seconds."""
    hints: bool = False
    """Order messages name the order and no more."""
    lag_s: float = 0.0
    clock_s: float = 0.0
    """How far this platform's clock is ahead of the true time."""
    commit_on: CommitOn = CommitOn.CREATED
    restock: Restock = Restock.AS_PLATFORM
    policy: Policy = field(default_factory=Policy)

    @property
    def keyed(self) -> bool:
        return self.write is WriteKind.CAS


@dataclass(frozen=True)
class Weather:
    """What goes wrong while there is trade. Shares are 0..1 of all calls or messages of the kind."""

    silent: float = 0.08
    """Writes nobody answers: a third is never applied, a third late."""
    failed: float = 0.03
    """Calls that fail before they are sent."""
    lost: float = 0.15
    """Messages that never come."""
    twice: float = 0.10
    late: float = 0.05
    """Messages minutes late."""
    crash: float = 0.0015
    """Chance of the daemon's end at each side of every transaction."""
    outage_s: tuple[float, float] = (10.0, 40.0)
    outages: int = 1
    """Of every platform; then it answers nothing, though people go on selling there."""


@dataclass(frozen=True)
class Setting:
    """One run. Pauses are seconds between happenings on one channel, on average."""

    kind: str
    shops: tuple[Shop, ...]
    skus: tuple[str, ...] = ("MUG",)
    stock: int = 40
    run_s: float = 150.0
    calm_s: float = 130.0
    sale_s: float = 12.0
    edit_s: float = 30.0
    still_s: float = 70.0
    """So long after the last sale or edit nothing is written any more."""
    edit_units: tuple[int, int] = (1, 4)
    lively: float = 1.0
    """The share of orders that go on to live as restless a life as orders here do."""
    slow: float = 0.0
    """The share of orders that nobody is told of, and nobody can fetch, for minutes."""
    sweep_s: float = 30.0
    timeout_s: float = 5.0
    late_s: float = 12.0
    """How long after its time-out a write may still be applied."""
    clock_s: float = 0.0
    """How far our own clock is ahead of the true time."""
    weather: Weather = Weather()


def levels(name: str, **more: object) -> Shop:
    return Shop(name, Truth.LEVELS, WriteKind.CAS, **more)  # type: ignore[arg-type]


def orders(name: str, **more: object) -> Shop:
    return Shop(name, Truth.ORDERS, WriteKind.ABSOLUTE, Edits.OVERWRITE, **more)  # type: ignore[arg-type]


def _levels(rng: Random) -> Setting:
    """Truth levels, compare-and-set with keys that outlive every outage."""
    shops = tuple(_level_shop(rng, number) for number in range(rng.choice((2, 2, 3))))
    return Setting("levels", shops, skus=_skus(rng), clock_s=rng.choice((0, -40, 30)))


def _heavy(rng: Random) -> Setting:
    """The same for 400 s of heavy traffic: what goes wrong goes wrong several times a run."""
    setting = _levels(rng)
    weather = Weather(silent=0.15, failed=0.05, lost=0.25, twice=0.2, late=0.1, outages=2)
    return replace(
        setting,
        kind="heavy",
        shops=tuple(replace(shop, lag_s=3.0 * shop.lag_s) for shop in setting.shops),
        stock=150,
        run_s=400.0,
        sale_s=5.0,
        edit_s=12.0,
        weather=weather,
    )


def _level_shop(rng: Random, number: int, *, always: bool = False, **more: object) -> Shop:
    stamps = always or rng.random() < 0.7
    return levels(
        f"l{number}",
        atomic=rng.random() < 0.5,
        stamps=stamps,
        lag_s=rng.choice((0.0, 3.0)) if stamps else 0.0,
        clock_s=rng.choice((0.0, -20.0, 15.0)),
        hints=rng.random() < 0.3,
        **more,
    )


def _spent(rng: Random) -> Setting:
    """Truth levels, outages longer than a key's life; stamps say what became of most writes."""
    shops = tuple(_level_shop(rng, n, always=True, key_lifetime_s=20.0) for n in range(2))
    weather = Weather(silent=0.06, outage_s=(30.0, 45.0))
    return Setting("spent", shops, weather=weather)


def _overwrite(rng: Random) -> Setting:
    """Truth orders, blind writes, edits overwritten."""
    shops = tuple(_order_shop(rng, number) for number in range(rng.choice((2, 2, 3))))
    return Setting("overwrite", shops, skus=_skus(rng))


def _guarded(rng: Random) -> Setting:
    """Truth orders though writes are compared: edits there are overwritten."""
    shops = [_order_shop(rng, 0), *(_guarded_shop(rng, n) for n in range(1, rng.choice((2, 3))))]
    return Setting("guarded", tuple(shops), skus=_skus(rng))


def _guarded_shop(rng: Random, number: int) -> Shop:
    return Shop(
        f"g{number}",
        Truth.ORDERS,
        WriteKind.CAS,
        Edits.OVERWRITE,
        atomic=rng.random() < 0.5,
        lag_s=rng.choice((0.0, 2.0)),
        hints=rng.random() < 0.3,
        clock_s=rng.uniform(-1.0, 1.0),
        restock=rng.choice((Restock.AS_PLATFORM, Restock.ALWAYS)),
    )


def _order_shop(rng: Random, number: int, **more: object) -> Shop:
    return orders(
        f"o{number}",
        read_max=rng.choice((50, 50, 1)),
        batch_max=rng.choice((15, 1)),
        stamps=rng.random() < 0.5,
        coarse=rng.random() < 0.3,
        hints=rng.random() < 0.3,
        clock_s=rng.uniform(-1.0, 1.0),
        commit_on=rng.choice((CommitOn.CREATED, CommitOn.CREATED, CommitOn.PAID)),
        restock=rng.choice((Restock.AS_PLATFORM, Restock.AS_PLATFORM, Restock.ALWAYS)),
        **more,
    )


def _adopt(rng: Random) -> Setting:
    """Truth orders, blind writes, edits adopted: they are inferred from stretches (edits.md, heavy).

    Edits are larger than sales and never taken back, so that no sale beside a moment looks like
    one, which no rule can know. The two other channels sell the same item.
    """
    shops = (_adopting_shop(rng, 0), _level_shop(rng, 1), _order_shop(rng, 2))
    return _edited("adopt", shops)


def _restless(rng: Random) -> Setting:
    """The same with orders of which half change again, often before they are heard of."""
    return replace(_adopt(rng), kind="restless", lively=1.0)


def _rough(rng: Random) -> Setting:
    """Inferred edits while the daemon ends again and again and every platform is down for a while."""
    weather = Weather(silent=0.10, failed=0.03, crash=0.0004, outages=2)
    return replace(_adopt(rng), kind="rough", weather=weather)


def _shared(rng: Random) -> Setting:
    """Two channels of each truth and of each kind of write in one warehouse, each under its policy.

    What is adopted is a difference of the level, whatever cap or percent its shelf has.
    """
    shops = (
        _adopting_shop(rng, 0, policy=rng.choice(LIMITS)),
        _adopting_shop(rng, 1, policy=rng.choice(LIMITS)),
        _level_shop(rng, 2, policy=rng.choice(LIMITS)),
        _level_shop(rng, 3),
        _order_shop(rng, 4, policy=rng.choice(LIMITS)),
        _order_shop(rng, 5),
        _guarded_shop(rng, 6),
        _guarded_shop(rng, 7),
    )
    return _edited("shared", shops, run_s=600.0, sale_s=150.0)


def _adopting_shop(rng: Random, number: int, **more: object) -> Shop:
    shop = Shop(
        f"a{number}",
        Truth.ORDERS,
        WriteKind.ABSOLUTE,
        Edits.ADOPT,
        hints=rng.random() < 0.3,
        clock_s=rng.choice((-40.0, 0.0, 25.0)) + rng.uniform(-1.0, 1.0),
        stamps=False,
    )
    return replace(shop, **more)  # type: ignore[arg-type]


def _edited(kind: str, shops: tuple[Shop, ...], **more: object) -> Setting:
    setting = Setting(
        kind,
        shops,
        stock=400,
        run_s=1200.0,
        calm_s=1000.0,
        sale_s=90.0,
        edit_s=240.0,
        sweep_s=120.0,
        edit_units=(7, 20),
        lively=0.2,
        slow=0.06,
        still_s=700.0,
        weather=Weather(silent=0.10, failed=0.01, crash=0.0, outages=0),
    )
    return replace(setting, **more)  # type: ignore[arg-type]


POLICIES = (
    Policy(),
    Policy(),
    Policy(percent=50),
    Policy(buffer=3),
    Policy(cap=10),
    Policy(floor=2),
    Policy(preorder=5),
    Policy(last_units=6),
    Policy(zero=Zero.KEEP_LAST),
)


LIMITS = (
    Policy(),
    Policy(percent=50),
    Policy(cap=50),
    Policy(buffer=20),
    Policy(percent=60, cap=90),
)


def _mixed(rng: Random) -> Setting:
    """Two channels of each truth, several warehouses, every policy, a channel that only receives."""
    two = (("east", 1), ("west", 2))
    shops = [
        _level_shop(rng, 0, places=two, policy=rng.choice(POLICIES)),
        _level_shop(rng, 1, policy=rng.choice(POLICIES)),
        _order_shop(rng, 2, policy=rng.choice(POLICIES)),
        _order_shop(rng, 3, places=rng.choice((two, (("", 2),))), policy=rng.choice(POLICIES)),
    ]
    if rng.random() < 0.5:
        kind = rng.choice((WriteKind.CAS, WriteKind.ABSOLUTE))
        shops.append(Shop("n4", Truth.NONE, kind, Edits.OVERWRITE, stamps=False))
    rng.shuffle(shops)
    return Setting("mixed", tuple(shops), stock=14, run_s=90.0, sale_s=18.0, edit_s=40.0)


def _skus(rng: Random) -> tuple[str, ...]:
    return rng.choice((("MUG",), ("MUG",), ("MUG", "TEE")))


KINDS = {
    "levels": _levels,
    "heavy": _heavy,
    "spent": _spent,
    "overwrite": _overwrite,
    "guarded": _guarded,
    "mixed": _mixed,
    "adopt": _adopt,
    "restless": _restless,
    "rough": _rough,
    "shared": _shared,
}


def setting(seed: int, kind: str) -> Setting:
    """The setting of a seed: the same one every time."""
    return KINDS[kind](Random(f"{kind} {seed}"))
