"""Which function of `syncd.db` has which twin, and the catalogue that stands still."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import syncd.fanout.facts
import syncd.reconcile
from syncd.db import (
    alternation,
    attempts,
    bookmark,
    catalog,
    inbox,
    journal,
    ledger,
    order_holds,
    outbox,
    shelf,
    standing,
    stretches,
    suspense,
    suspicion,
)
from syncd.db.catalog import ListingNow
from syncd.stock.model import ListingSeen
from tests.rules.simulator.tables import Tables, made
from tests.rules.simulator.twins import alternation as alternation_twin
from tests.rules.simulator.twins import attempts as attempts_twin
from tests.rules.simulator.twins import ledger as ledger_twin
from tests.rules.simulator.twins import outbox as outbox_twin
from tests.rules.simulator.twins import rest as rest_twin
from tests.rules.simulator.twins import shelf as shelf_twin
from tests.rules.simulator.twins import stretches as stretches_twin

TWINS: tuple[tuple[ModuleType, ModuleType], ...] = (
    (shelf, shelf_twin),
    (outbox, outbox_twin),
    (attempts, attempts_twin),
    (alternation, alternation_twin),
    (ledger, ledger_twin),
    (catalog, ledger_twin),
    (order_holds, ledger_twin),
    (standing, ledger_twin),
    (suspicion, ledger_twin),
    (bookmark, rest_twin),
    (inbox, rest_twin),
    (journal, rest_twin),
    (suspense, rest_twin),
    (stretches, stretches_twin),
    (suspense, stretches_twin),
    (attempts, stretches_twin),
)
"""Each module of `syncd.db` that walkers use, beside the module that holds its twins."""


def twins() -> Iterator[tuple[ModuleType, str, Callable[..., Any]]]:
    """(module of syncd.db, name, twin) of every function that has one."""
    for module, place in TWINS:
        prefix = module.__name__.rsplit(".", 1)[1]
        for name, function in list(vars(module).items()):
            if not inspect.iscoroutinefunction(function) or function.__module__ != module.__name__:
                continue
            twin = getattr(place, f"{prefix}_{name}", None)
            if twin is None and place.__name__.rsplit(".", 1)[1] in (prefix, "rest"):
                twin = getattr(place, name, None)
            if twin is not None and twin.__module__ == place.__name__:
                yield module, name, twin


async def _page(t: Tables, booking: Any, page: Any) -> list[tuple[ListingSeen, ListingNow]]:
    """Here a catalogue never changes: each row is the listing it always was."""
    pairs = []
    for row in page.rows:
        x = t.listings[t.named[page.rules.id, row.location, row.remote]]
        s, level = t.shelves[x.id], t.level_of(x)
        now = made(
            ListingNow,
            listing_id=x.id,
            item_id=x.item_id,
            warehouse_id=x.warehouse_id,
            shown=s.shown,
            turn=s.turn,
            attempt_open=s.attempt_id is not None,
            quantity=level.quantity if level else None,
            suspects=ledger_twin.suspects(t, (x.item_id, x.warehouse_id)),
            holds=ledger_twin.holds(t, (x.item_id, x.warehouse_id)),
            skip=x.skip,
            managed=x.managed,
            same=True,
            sku=x.sku,
            own_sku=x.sku,
            followed=s.followed,
        )
        pairs.append((row, now))
    return pairs


async def _nothing(*_: Any, **__: Any) -> list[int]:
    return []


def replacements() -> Iterator[tuple[ModuleType, str, Callable[..., Any]]]:
    """Everything that is replaced for a run."""
    yield from twins()
    yield syncd.reconcile, "enter_page", _page
    yield syncd.reconcile, "mark_duplicates", _nothing
    # nothing here is too large at once: no plan is ever made
    yield syncd.reconcile, "hold_if_large", _nothing
    yield syncd.reconcile, "weigh_holds", _nothing
    # each location of a channel here feeds a warehouse of its own: nothing is divided
    yield syncd.reconcile, "arrange", _nothing
