"""The memory connector keeps the contract in every character its store can play."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from pydantic import ValidationError

from syncd.connectors import memory
from syncd.connectors.base import Outcome, Ref, WriteOp
from syncd.connectors.budget import Priority
from syncd.errors import ChannelClosed, Refused, RetryLater
from syncd.stock.model import ItemGone
from tests.contract.bench import attempt, opened
from tests.contract.suite import ConnectorSuite

CHARACTERS = {
    "like shopify": {"batch_atomic": True, "key_lifetime_s": 3600.0, "locations": ("1", "2")},
    "no keys, rows on their own": {"retires": True},
    "like shopwired": {"truth": "orders", "write": "absolute", "batch_max": 15, "read_max": 1},
    "groups": {
        "truth": "orders",
        "write": "absolute",
        "group_size": 5,
        "page_max": 7,
        "retires": True,
    },
}


class Posting:
    """Carries a memory store's webhooks to their address."""

    def __init__(self) -> None:
        self.waiting = []

    def send(self, hook) -> None:
        self.waiting.append(hook)

    async def idle(self) -> None:
        async with aiohttp.ClientSession() as session:
            while self.waiting:
                hook = self.waiting.pop(0)
                async with session.post(hook.url, data=hook.body, headers=hook.headers) as answer:
                    assert answer.status == 200

    async def close(self) -> None:
        self.waiting.clear()


class TestMemory(ConnectorSuite):
    @pytest.fixture(autouse=True, params=CHARACTERS.values(), ids=list(CHARACTERS))
    def character(self, request):
        self.options = request.param
        return request.param

    def make_store(self) -> memory.MemoryStore:
        store = memory.store("bench", **self.options)
        store.sender = Posting()
        return store

    def disable(self, store, topic) -> None:
        store.disable(topic)


@pytest.fixture
async def keyed():
    """A store like Shopify: keys, compares, all or nothing."""
    store = memory.store("keyed", batch_atomic=True, key_lifetime_s=3600.0)
    store.sender = Posting()
    async with opened(store) as bench:
        for sku, quantity in (("A", 50), ("B", 40), ("C", 30)):
            store.add(sku, quantity)
        yield bench


async def outcomes(bench, *rows, **more):
    return [one.outcome for one in await bench.write(*rows, **more)]


async def test_an_attempt_that_broke_inside_is_never_applied_under_its_key(keyed):
    refs = await keyed.refs()
    write = attempt((refs["A"], 50, 7))
    keyed.store.faults.break_attempt = 1
    with pytest.raises(RetryLater) as caught:
        await keyed.connector.write(write)
    assert caught.value.maybe_applied
    keyed.store.faults.break_attempt = 0
    assert [one.outcome for one in await keyed.connector.write(write)] == [Outcome.NOT_APPLIED]
    assert keyed.store.shelf("A") == 50
    assert await outcomes(keyed, (refs["A"], 50, 7)) == [Outcome.APPLIED]


async def test_a_key_older_than_its_life_applies_again(keyed):
    refs = await keyed.refs()
    write = attempt((refs["A"], 1, 2), op=WriteOp.DELTA)
    await keyed.connector.write(write)
    later = datetime.now(UTC) + timedelta(seconds=3601)
    keyed.store.clock = lambda: later
    await keyed.connector.write(write)
    assert keyed.store.shelf("A") == 52


async def test_failures_without_names(keyed):
    refs = await keyed.refs()
    keyed.store.faults.unnamed_skus.add("B")
    rows = [(refs["A"], 50, 1), (refs["B"], 40, 1)]
    assert await outcomes(keyed, *rows) == [Outcome.UNNAMED] * 2
    assert await outcomes(keyed, rows[0]) == [Outcome.APPLIED]
    assert await outcomes(keyed, rows[1]) == [Outcome.UNNAMED]
    keyed.store.faults.unnamed_skus.clear()
    keyed.store.faults.unnamed = 1
    assert await outcomes(keyed, (refs["A"], 1, 2), rows[1]) == [Outcome.UNNAMED] * 2
    assert await outcomes(keyed, rows[1]) == [Outcome.APPLIED]


async def test_a_compare_can_be_called_stale_although_it_matches(keyed):
    refs = await keyed.refs()
    keyed.store.faults.stale = 1
    rows = [(refs["A"], 50, 1), (refs["B"], None, 2)]
    assert await outcomes(keyed, *rows) == [Outcome.STALE, Outcome.NOT_APPLIED]
    assert await outcomes(keyed, *rows, op=WriteOp.DELTA) == [Outcome.APPLIED] * 2


async def test_a_clamp_is_silent(keyed):
    refs = await keyed.refs()
    keyed.store.faults.clamp = 20
    assert await outcomes(keyed, (refs["A"], 50, 45)) == [Outcome.APPLIED]
    assert keyed.store.shelf("A") == 20


async def test_late_writes_land_when_told_and_only_once(keyed):
    refs = await keyed.refs()
    keyed.store.faults.late, keyed.store.faults.late_s = 1, 3600
    with pytest.raises(RetryLater):
        await keyed.write((refs["A"], 5, 7), op=WriteOp.DELTA)
    assert keyed.store.shelf("A") == 50
    keyed.store.land()
    keyed.store.land()
    assert keyed.store.shelf("A") == 52


async def test_malformed_calls_are_refused_and_counted(keyed):
    refs = list((await keyed.refs()).values())
    calls = [
        keyed.write((refs[0], 1, 2), (refs[0], 1, 3)),
        keyed.write(),
        keyed.write((refs[0], 1, 2), (Ref(refs[1].remote, "", "B", "other group"), 1, 2)),
        keyed.connector.read(refs * 20),
    ]
    for number, call in enumerate(calls, 1):
        with pytest.raises(Refused):
            await call
        assert len(keyed.store.counters.invalid) == number
    keyed.store.counters.invalid.clear()


async def test_items_that_go_or_are_not_tracked(keyed):
    refs = await keyed.refs()
    await keyed.subscribe()
    keyed.store.remove("A")
    keyed.store.unmanage("B")
    facts = await keyed.facts()
    assert facts[0] == ItemGone((refs["A"].remote,))
    assert [(row.sku, row.quantity, row.managed) for row in facts[1].listings] == [
        ("B", None, False)
    ]
    gone, untracked = await keyed.read([refs["A"], refs["B"]])
    assert gone.missing
    keyed.store.add("A", 9)
    assert [one.missing for one in await keyed.read([refs["A"]])] == [True]
    assert (untracked.quantity, untracked.missing) == (None, False)
    assert await outcomes(keyed, (refs["B"], 40, 1)) == [Outcome.REFUSED]


async def test_own_writes_echo_only_where_the_character_says_so(keyed):
    refs = await keyed.refs()
    await keyed.subscribe()
    await keyed.write((refs["A"], 50, 7))
    assert [(one.remote, one.quantity) for one in await keyed.facts()] == [(refs["A"].remote, 7)]
    keyed.store.character = keyed.store.character.model_copy(update={"echoes": False})
    await keyed.write((refs["A"], 7, 8))
    assert await keyed.facts() == []


async def test_a_platform_that_does_not_sell_down_leaves_its_shelf():
    store = memory.store("still", sells_down=False)
    store.sender = Posting()
    async with opened(store) as bench:
        store.add("A", 5)
        await bench.subscribe()
        order = await store.sell({"A": 2})
        assert store.shelf("A") == 5
        assert store.book.total("A") == -2
        await store.cancel(order)
        assert (store.shelf("A"), store.book.total("A")) == (5, 0)


async def test_a_wrong_token_closes_the_channel(keyed):
    with pytest.raises(ChannelClosed):
        await keyed.again(token="wrong").open()


def test_levels_are_no_truth_under_blind_writes():
    with pytest.raises(ValidationError, match="levels cannot be the truth"):
        memory.MemoryOptions(truth="levels", write="absolute")


async def test_calls_wait_for_the_budget(keyed):
    async with asyncio.timeout(5):
        async with keyed.http.reserved(5, Priority.URGENT) as ticket:
            await keyed.connector.open()
            assert not ticket.take()
        assert keyed.http.budget.spent == 5
