"""What every connector must do, whatever its platform: one suite, run over every stand-in store."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from multidict import CIMultiDict

from syncd.connectors.base import Event, Outcome, Ref, Retires, WriteKind, WriteOp
from syncd.demo.standins.base import Standin
from syncd.errors import BadFact, ChannelClosed, ChannelError, Refused, RetryLater, Unsigned
from syncd.stock.model import (
    QUANTITY_LIMIT,
    Fact,
    ItemGone,
    ItemSeen,
    LevelSeen,
    ListingSeen,
    OrderHint,
    OrderSeen,
    Truth,
)
from tests.contract.bench import BOUND_S, Bench, Received, attempt, opened

MANY = 130
"""Products enough for a second page anywhere a page holds 100."""


class ConnectorSuite:
    """Inherit, name the store; each test gets a bench with three products and fresh faults.

    class TestShop(ConnectorSuite):
        def make_store(self) -> Standin:
            return ShopStandin()
    """

    secret_option: ClassVar[str] = "webhook_secret"
    """The option that takes one secret or a list."""
    many: ClassVar[int] = MANY
    unknown: ClassVar[Ref] = Ref("987654321", "", "no-such-sku")
    """A listing the store does not have; its location is filled in where there are locations."""
    narrows_orders: ClassVar[bool] = True
    """False where the platform cannot be asked for changes alone, and older orders come along."""
    unknown_order: ClassVar[str] = "987654321"
    more: ClassVar[Mapping[str, Any]] = {}
    """What the connector is made with besides its options."""

    def make_store(self) -> Standin:
        raise NotImplementedError

    def disable(self, store: Any, topic: str) -> None:
        """Do to a webhook what the platform does when its deliveries keep failing."""
        del store, topic
        pytest.skip("this store never disables webhooks")

    @pytest.fixture
    async def bench(self):
        async with opened(self.make_store(), self.more) as bench:
            for sku, quantity in (("A", 50), ("B", 40), ("C", 30)):
                bench.store.add(sku, quantity)
            yield bench

    @pytest.fixture
    async def hooked(self, bench):
        await bench.subscribe()
        return bench

    @contextmanager
    def raises(self, bench: Bench, kind: type[ChannelError]):
        """Expects this error, and that it tells no secret, however it is printed."""
        with pytest.raises(kind) as caught:
            yield caught
        error: BaseException | None = caught.value
        while error is not None:
            for secret in secrets(bench):
                assert secret not in f"{error} {error!r}", "a secret in an error"
            error = error.__cause__ or error.__context__

    # --- opening

    async def test_open_with_good_credentials(self, bench):
        assert (await bench.connector.open()).account

    async def test_expired_credentials_close_the_channel(self, bench):
        ref = (await bench.refs())["A"]
        bench.store.faults.expired = True
        for work in (bench.again().open(), bench.read([ref]), bench.write((ref, None, 5))):
            with self.raises(bench, ChannelClosed):
                await work
        assert bench.store.shelf("A") == 50

    async def test_close_twice(self, bench):
        await bench.connector.open()
        await bench.connector.close()
        await bench.connector.close()

    async def test_options_and_connector_tell_no_secret(self, bench):
        told = repr(bench.connector) + repr(bench.platform.options(**bench.options))
        assert not [secret for secret in secrets(bench) if secret in told]

    async def test_capabilities_are_sound(self, bench):
        can = bench.connector.capabilities
        assert can.batch_max >= 1
        assert can.read_max >= 1
        assert can.topics
        assert can.edits
        assert can.truth is not Truth.LEVELS or can.write is not WriteKind.ABSOLUTE
        assert can.write is not WriteKind.CAS or can.key_lifetime_s >= 0

    async def test_locations(self, bench):
        places = {place.id for place in await bench.connector.locations()}
        shown = {row.location for row in await bench.listings()}
        if bench.connector.capabilities.locations:
            assert shown <= places
            assert "" not in places
        else:
            assert shown == {""}

    # --- webhooks: who sent them

    async def test_every_active_secret_is_accepted(self, hooked):
        hook = await sale_hook(hooked)
        real, other = hooked.options[self.secret_option], "another-secret-0123456789"
        real = real[0] if isinstance(real, (list, tuple)) else real
        for active in ([real, other], [other, real], real):
            connector = hooked.again(**{self.secret_option: active})
            assert connector.verify(hook.headers, hook.body).answer is None
        with pytest.raises(Unsigned):
            hooked.again(**{self.secret_option: other}).verify(hook.headers, hook.body)

    async def test_forgeries_are_refused(self, hooked):
        hook = await sale_hook(hooked)
        connector = hooked.connector
        for body in (hook.body + b" ", hook.body[:-1], b"", hook.body.replace(b"1", b"2", 1)):
            if body != hook.body:
                with pytest.raises(Unsigned):
                    connector.verify(hook.headers, body)
        with pytest.raises(Unsigned):
            connector.verify(CIMultiDict(), hook.body)
        with pytest.raises(Unsigned):
            connector.verify(CIMultiDict(), b"")
        for name in signature_headers(hooked, hook):
            for forged in ("", "x", "=", "é", "\udcff", hook.headers[name][::-1] + "A"):
                headers = CIMultiDict(hook.headers)
                headers[name] = forged
                with pytest.raises(Unsigned):
                    connector.verify(headers, hook.body)

    async def test_header_names_have_no_case(self, hooked):
        hook = await sale_hook(hooked)
        lower = CIMultiDict({name.lower(): value for name, value in hook.headers.items()})
        delivered = hooked.connector.verify(lower, hook.body)
        assert delivered == hooked.connector.verify(hook.headers, hook.body)
        assert delivered.topic in hooked.connector.capabilities.topics

    async def test_a_delivery_is_named_alike_every_time_and_unlike_any_other(self, hooked):
        await hooked.store.sell({"A": 1})
        await hooked.store.sell({"B": 1})
        hooks = await hooked.said()
        names = [hooked.connector.verify(hook.headers, hook.body).dedupe for hook in hooks]
        again = [hooked.connector.verify(hook.headers, hook.body).dedupe for hook in hooks]
        assert names == again
        assert all(names)
        assert len(set(names)) == len(names)

    async def test_pings_are_answered_and_mean_nothing(self, hooked):
        if not hooked.pings:
            pytest.skip("this platform does not ping")
        for ping in hooked.pings:
            assert hooked.parse(ping) == []

    # --- webhooks: what they mean

    @pytest.mark.parametrize("story", ["sold", "cancelled", "refunded", "kept", "partly"])
    async def test_orders_add_up_to_the_book(self, hooked, story):
        store = hooked.store
        order = await store.sell({"A": 3, "B": 2} if story in ("sold", "cancelled") else {"A": 3})
        if story == "cancelled":
            await store.cancel(order)
        elif story != "sold":
            await store.refund(order, "A", 1 if story == "partly" else 3, restock=story != "kept")
        facts = await hooked.facts()
        orders = [fact for fact in facts if isinstance(fact, OrderSeen)]
        assert {one.order for one in orders} == {order}
        sane(facts)
        taken = await hooked.taken(orders)
        for sku in ("A", "B"):
            assert taken.get(sku, 0) == -store.book.total(sku, "sale", "cancel", "refund")
        if story == "sold":
            assert taken == {"A": 3, "B": 2}

    async def test_states_of_an_order_grow_in_version(self, hooked):
        store = hooked.store
        order = await store.sell({"A": 2})
        first = [one for one in await hooked.facts() if isinstance(one, OrderSeen)]
        await store.cancel(order)
        last = [one for one in await hooked.facts() if isinstance(one, OrderSeen)]
        assert first
        assert last
        assert max(one.version for one in last) >= max(one.version for one in first)
        assert max(last, key=lambda one: one.version).at >= first[0].at

    async def test_an_edit_is_a_hint_about_its_listing(self, hooked):
        remote = (await hooked.refs())["B"].remote
        await hooked.store.edit("B", 17)
        facts = await hooked.facts()
        sane(facts)
        told = {fact.remote for fact in facts if isinstance(fact, LevelSeen)} | {
            row.remote for fact in facts if isinstance(fact, ItemSeen) for row in fact.listings
        }
        assert remote in told
        if hooked.connector.capabilities.truth is Truth.LEVELS:
            counts = {fact.quantity for fact in facts if isinstance(fact, LevelSeen)}
            assert counts <= {17, None}

    async def test_poison_is_a_bad_fact_or_none(self, hooked):
        await hooked.subscribe()
        order = await hooked.store.sell({"A": 2, "B": 1})
        await hooked.store.edit("C", 3)
        await hooked.store.refund(order, "A", 1, restock=True)
        hooked.store.add("D", 4)
        hooks = {}
        for hook in await hooked.said():
            hooks[hooked.connector.verify(hook.headers, hook.body).topic] = hook
        assert hooks
        for topic in hooked.connector.capabilities.topics:
            body = hooks[topic].body if topic in hooks else b"{}"
            for poison in poisons(body):
                event = Event(topic, poison, datetime.now(UTC))
                try:
                    facts = hooked.connector.parse(event)
                except BadFact:
                    continue
                sane(facts)

    async def test_unknown_topics_mean_nothing(self, bench):
        for body in (b"{}", b"", b"[]"):
            event = Event("no/such_topic", body, datetime.now(UTC))
            try:
                assert list(bench.connector.parse(event)) == []
            except BadFact:
                continue

    # --- reading

    async def test_the_catalogue_is_complete(self, bench):
        for number in range(self.many):
            bench.store.add(f"N-{number:04d}", number)
        rows = await bench.listings()
        shown = dict.fromkeys(bench.store.shelves(), 0)
        for row in rows:
            shown[row.sku] += row.quantity or 0
        assert shown == bench.store.shelves()
        assert all(row.managed and row.quantity is not None for row in rows)
        names = [(row.remote, row.location) for row in rows]
        assert len(set(names)) == len(names)
        sane([ItemSeen(tuple(rows))])

    async def test_an_empty_catalogue_is_empty(self):
        async with opened(self.make_store()) as bench:
            assert await bench.listings() == []

    @pytest.mark.parametrize("trouble", ["status", "html", "down"])
    async def test_a_catalogue_never_ends_early(self, bench, trouble):
        for number in range(self.many):
            bench.store.add(f"N-{number:04d}", number)
        rows: list[ListingSeen] = []
        try:
            async for page in bench.connector.listings():
                rows += page.rows
                value = {"status": 503, "html": True, "down": True}[trouble]
                setattr(bench.store.faults, trouble, value)
        except RetryLater:
            return
        assert {row.sku for row in rows} == set(bench.store.shelves())

    async def test_reading_keeps_the_order_and_marks_what_is_gone(self, bench):
        refs = await bench.refs()
        ghost = self.ghost(refs)
        asked = [refs["C"], ghost, refs["A"], refs["B"]]
        found = await bench.read(asked)
        assert [(one.remote, one.location) for one in found] == [
            (one.remote, one.location) for one in asked
        ]
        assert [one.quantity for one in found] == [30, None, 50, 40]
        assert [one.missing for one in found] == [False, True, False, False]
        assert all(one.at is None or one.at.tzinfo for one in found)

    async def test_reading_as_many_as_allowed(self, bench):
        for number in range(self.many):
            bench.store.add(f"N-{number:04d}", number)
        refs = [ref for sku, ref in (await bench.refs()).items() if sku.startswith("N-")]
        size = bench.connector.capabilities.read_max
        found = await bench.connector.read(refs[:size])
        assert [one.quantity for one in found] == [
            bench.store.shelf(ref.sku) for ref in refs[:size]
        ]

    # --- writing

    async def test_a_write_applies(self, bench):
        refs = await bench.refs()
        results = await bench.write((refs["A"], 50, 7), (refs["B"], 40, 0), (refs["C"], None, 31))
        assert [one.outcome for one in results] == [Outcome.APPLIED] * 3
        assert bench.store.shelves() == {"A": 7, "B": 0, "C": 31}
        assert [one.quantity for one in await bench.read([refs["A"]])] == [7]

    async def test_the_largest_batch(self, bench):
        size = bench.connector.capabilities.batch_max
        for number in range(size):
            bench.store.add(f"N-{number:04d}", number)
        refs = [ref for sku, ref in (await bench.refs()).items() if sku.startswith("N-")]
        rows = [
            (ref, bench.store.shelf(ref.sku), 1000) for ref in refs if ref.group == refs[0].group
        ]
        results = await bench.write(*rows)
        assert [one.outcome for one in results] == [Outcome.APPLIED] * len(rows)
        assert {bench.store.shelf(row[0].sku) for row in rows} == {1000}

    async def test_a_stale_compare_is_named_or_does_not_exist(self, bench):
        can = bench.connector.capabilities
        refs = await bench.refs()
        stale, fine = await bench.write((refs["A"], 49, 7), (refs["B"], 40, 9))
        if can.write is WriteKind.ABSOLUTE:
            assert {stale.outcome, fine.outcome} == {Outcome.APPLIED}
            assert bench.store.shelf("A") == 7
            return
        assert stale.outcome is Outcome.STALE
        assert fine.outcome is (Outcome.NOT_APPLIED if can.batch_atomic else Outcome.APPLIED)
        assert bench.store.shelf("A") == 50
        assert bench.store.shelf("B") == (40 if can.batch_atomic else 9)

    async def test_a_delta_moves_whatever_is_there(self, bench):
        if bench.connector.capabilities.write is not WriteKind.CAS:
            pytest.skip("this platform takes no deltas")
        refs = await bench.refs()
        rows = ((refs["A"], 10, 4), (refs["B"], 3, 5), (refs["C"], 8, 8))
        results = await bench.write(*rows, op=WriteOp.DELTA)
        assert [one.outcome for one in results] == [Outcome.APPLIED] * 3
        assert bench.store.shelves() == {"A": 44, "B": 42, "C": 30}

    async def test_an_unknown_listing_is_never_applied(self, bench):
        refs = await bench.refs()
        rows = ((self.ghost(refs), None, 5), (refs["B"], 40, 9))
        ghost, other = await bench.write(*rows)
        assert ghost.outcome in (Outcome.REFUSED, Outcome.UNNAMED)
        assert ghost.reason
        assert bench.store.shelf("B") in after(other.outcome, 40, 9)

    async def test_a_refused_product_is_told_in_words(self, bench):
        refs = await bench.refs()
        bench.store.faults.refuse_skus.add("A")
        refused, other = await bench.write((refs["A"], 50, 5), (refs["B"], 40, 9))
        assert refused.outcome in (Outcome.REFUSED, Outcome.UNNAMED)
        assert refused.reason
        assert bench.store.shelf("A") == 50
        assert bench.store.shelf("B") in after(other.outcome, 40, 9)
        alone = (await bench.write((refs["A"], 50, 5)))[0]
        assert alone.outcome in (Outcome.REFUSED, Outcome.UNNAMED)

    async def test_a_listing_is_taken_out_of_sale_and_back(self, bench):
        connector = bench.connector
        if not connector.capabilities.retires:
            pytest.skip("no listing can be taken out of sale here")
        assert isinstance(connector, Retires)
        for sku in ("A", "B"):
            await bench.store.edit(sku, 0)
        refs = [(await bench.refs())[sku] for sku in ("A", "B")]
        for out, again in ((True, False), (True, True), (False, False), (False, True)):
            results = await connector.retire(refs, out=out, again=again)
            assert [one.outcome for one in results] == [Outcome.APPLIED] * 2
            assert [bench.store.on_sale(sku) for sku in ("A", "B", "C")] == [not out, not out, True]
            rows = {row.sku: row for row in await bench.listings()}
            assert rows.keys() >= {"A", "B", "C"}, "the catalogue lists it all the same"
            assert [x.quantity for x in await connector.read(refs)] == [0, 0]

    async def test_what_somebody_else_took_out_of_sale_is_left_alone(self, bench):
        connector = bench.connector
        if not connector.capabilities.retires:
            pytest.skip("no listing can be taken out of sale here")
        await bench.store.edit("A", 0)
        await bench.store.edit("B", 0)
        refs = [(await bench.refs())[sku] for sku in ("A", "B")]
        bench.store.hide("A")
        results = await connector.retire(refs, out=True, again=False)
        assert [one.outcome for one in results] == [Outcome.NOT_APPLIED, Outcome.APPLIED]
        assert [bench.store.on_sale(sku) for sku in ("A", "B")] == [False, False]

    async def test_what_cannot_be_taken_out_of_sale_answers_for_itself(self, bench):
        connector = bench.connector
        if not connector.capabilities.retires:
            pytest.skip("no listing can be taken out of sale here")
        await bench.store.edit("A", 0)
        bench.store.faults.refuse_skus = {"B"}
        refs = await bench.refs()
        unknown = replace(refs["A"], remote=self.unknown.remote, sku=self.unknown.sku)
        results = await connector.retire([refs["A"], refs["B"], unknown], out=True, again=False)
        assert results[0].outcome is Outcome.APPLIED
        assert [one.outcome for one in results[1:]] == [Outcome.REFUSED] * 2
        assert all(one.reason for one in results[1:])
        assert bench.store.on_sale("B")

    async def test_a_key_applies_once(self, bench):
        can = bench.connector.capabilities
        if not can.key_lifetime_s:
            pytest.skip("this platform knows no keys")
        refs = await bench.refs()
        write = attempt((refs["A"], 10, 7), op=WriteOp.DELTA)
        first = await bench.connector.write(write)
        again = await bench.connector.write(write)
        assert [one.outcome for one in first] == [one.outcome for one in again]
        assert bench.store.shelf("A") == 47

    async def test_a_key_with_other_rows_is_refused(self, bench):
        if not bench.connector.capabilities.key_lifetime_s:
            pytest.skip("this platform knows no keys")
        refs = await bench.refs()
        write = attempt((refs["A"], 50, 7))
        await bench.connector.write(write)
        other = attempt((refs["A"], 7, 8), key=write.key)
        try:
            results = await bench.connector.write(other)
        except Refused:
            results = []
        assert all(one.outcome is Outcome.REFUSED for one in results)
        assert bench.store.shelf("A") == 7
        bench.store.counters.invalid.clear()  # this one was our own intention

    # --- trouble

    async def test_a_lost_answer_may_have_been_applied(self, bench):
        ref = (await bench.refs())["A"]
        write = attempt((ref, 50, 7))
        bench.store.faults.lose_answer = 1
        with self.raises(bench, RetryLater) as caught:
            await bench.connector.write(write)
        assert caught.value.maybe_applied
        assert bench.store.shelf("A") == 7
        bench.store.faults.lose_answer = 0
        if bench.connector.capabilities.key_lifetime_s:
            await bench.store.sell({"A": 1})
            (result,) = await bench.connector.write(write)
            assert result.outcome is Outcome.APPLIED
            assert bench.store.shelf("A") == 6

    async def test_a_late_write_may_have_been_applied(self, bench):
        ref = (await bench.refs())["A"]
        bench.store.faults.late, bench.store.faults.late_s = 1, 0.05
        with self.raises(bench, RetryLater) as caught:
            await bench.write((ref, 50, 7))
        assert caught.value.maybe_applied
        assert bench.store.shelf("A") == 50
        async with asyncio.timeout(BOUND_S):
            while bench.store.shelf("A") != 7:  # noqa: ASYNC110 - the store tells nobody
                await asyncio.sleep(0.01)

    @pytest.mark.parametrize("status", [500, 502, 504])
    async def test_platform_errors_are_retried(self, bench, status):
        ref = (await bench.refs())["A"]
        bench.store.faults.status = status
        with self.raises(bench, RetryLater) as reading:
            await bench.read([ref])
        with self.raises(bench, RetryLater) as writing:
            await bench.write((ref, 50, 7))
        assert not reading.value.throttled
        assert not writing.value.throttled
        assert writing.value.maybe_applied

    async def test_throttling_says_how_long_and_that_nothing_was_applied(self, bench):
        ref = (await bench.refs())["A"]
        bench.store.faults.status, bench.store.faults.retry_after_s = 429, 3.0
        with self.raises(bench, RetryLater) as caught:
            await bench.again().write(attempt((ref, 50, 7)))
        assert caught.value.throttled
        assert caught.value.after_s == 3.0
        assert not caught.value.maybe_applied
        assert bench.store.shelf("A") == 50

    async def test_a_platform_that_hangs_is_left(self, bench):
        ref = (await bench.refs())["A"]
        hasty = bench.again(timeout_s=0.3)
        bench.store.faults.hang = True
        async with asyncio.timeout(BOUND_S):
            with self.raises(bench, RetryLater):
                await hasty.read([ref])
            with self.raises(bench, RetryLater) as caught:
                await hasty.write(attempt((ref, 50, 7)))
        assert caught.value.maybe_applied
        assert not caught.value.throttled

    async def test_a_page_of_html_is_no_answer(self, bench):
        ref = (await bench.refs())["A"]
        bench.store.faults.html = True
        with self.raises(bench, RetryLater):
            await bench.read([ref])
        with self.raises(bench, RetryLater):
            await bench.listings()
        with self.raises(bench, RetryLater) as caught:
            await bench.write((ref, 50, 7))
        assert caught.value.maybe_applied

    async def test_a_platform_that_is_down_is_tried_later(self, bench):
        ref = (await bench.refs())["A"]
        bench.store.faults.down = True
        with self.raises(bench, RetryLater):
            await bench.read([ref])
        with self.raises(bench, RetryLater):
            await bench.write((ref, 50, 7))
        assert bench.store.shelf("A") == 50
        bench.store.faults.down = False
        assert [one.quantity for one in await bench.read([ref])] == [50]

    # --- orders

    async def test_orders_since_finds_what_changed(self, bench):
        store, since = bench.store, datetime.now(UTC) - timedelta(hours=1)
        sold = await store.sell({"A": 2, "B": 1})
        cancelled = await store.sell({"A": 4})
        refunded = await store.sell({"C": 3})
        await store.cancel(cancelled)
        await store.refund(refunded, "C", 3, restock=True)
        found = [one async for page in bench.connector.orders_since(since) for one in page]
        assert {one.order for one in found} == {sold, cancelled, refunded}
        sane(found)
        taken = await bench.taken(found)
        for sku in ("A", "B", "C"):
            assert taken.get(sku, 0) == -store.book.total(sku, "sale", "cancel", "refund")
        if self.narrows_orders:
            later = datetime.now(UTC) + timedelta(hours=1)
            assert not [one async for page in bench.connector.orders_since(later) for one in page]

    async def test_orders_by_name_and_those_gone_for_good(self, bench):
        store = bench.store
        first, second = await store.sell({"A": 2}), await store.sell({"B": 1})
        found = await bench.connector.orders([second, self.unknown_order, first])
        by_name = {one.order: one for one in found}
        assert set(by_name) == {first, second, self.unknown_order}
        gone = by_name[self.unknown_order]
        assert gone.terminal
        assert gone.gone
        assert gone.lines == ()
        assert await bench.taken([by_name[first], by_name[second]]) == {"A": 2, "B": 1}
        sane(found)

    async def test_webhooks_and_polls_tell_the_same(self, hooked):
        store = hooked.store
        order = await store.sell({"A": 3})
        await store.refund(order, "A", 3, restock=True)
        heard = [one for one in await hooked.facts() if isinstance(one, OrderSeen)]
        asked = list(await hooked.connector.orders([order]))
        assert await hooked.taken(heard) == await hooked.taken(asked)

    # --- subscriptions

    async def test_subscribing_twice_registers_once(self, bench):
        await bench.subscribe()
        await bench.subscribe()
        found = [
            one for one in await bench.connector.subscriptions() if one.address == bench.address
        ]
        assert sorted(one.topic for one in found) == sorted(bench.connector.capabilities.topics)
        assert all(one.healthy for one in found)
        assert len({one.id for one in found}) == len(found)

    async def test_a_dead_subscription_is_seen_and_revived(self, hooked):
        topic = min(hooked.connector.capabilities.topics)
        self.disable(hooked.store, topic)
        alive = {one.topic for one in await hooked.connector.subscriptions() if one.healthy}
        assert topic not in alive
        await hooked.connector.subscribe(topic, hooked.address)
        alive = {one.topic for one in await hooked.connector.subscriptions() if one.healthy}
        assert topic in alive

    def ghost(self, refs: dict[str, Ref]) -> Ref:
        """A listing like these that does not exist."""
        like, made = next(iter(refs.values())), self.unknown
        return Ref(made.remote, like.location, made.sku, like.group)


async def sale_hook(bench: Bench) -> Received:
    await bench.store.sell({"A": 1})
    hooks = await bench.said()
    assert hooks, "a sale sent no webhook"
    return hooks[0]


def after(outcome: Outcome, before: int, wanted: int) -> set[int]:
    """What the shelf may show: an unnamed failure leaves open which rows were applied."""
    if outcome is Outcome.UNNAMED:
        return {before, wanted}
    return {wanted if outcome is Outcome.APPLIED else before}


def signature_headers(bench: Bench, hook: Received) -> list[str]:
    """Headers whose absence makes the delivery unsigned."""
    found = []
    for name in set(hook.headers):
        headers = CIMultiDict(hook.headers)
        headers.popall(name)
        try:
            bench.connector.verify(headers, hook.body)
        except Unsigned:
            if "sig" in name.lower() or "hmac" in name.lower():
                found.append(name)
    assert found, "no header carries a signature"
    return found


def secrets(bench: Bench) -> list[str]:
    """Every value of the options that must never be shown."""
    words = ("secret", "token", "password", "api_key", "consumer_key")
    found = []
    for name, value in bench.options.items():
        if any(word in name for word in words):
            found += [value] if isinstance(value, str) else list(value)
    return [str(one) for one in found if one]


def sane(facts: Any) -> None:
    """Whatever was said, a fact holds exact, bounded numbers, text ids and aware times."""
    for fact in facts:
        assert isinstance(fact, Fact)
        match fact:
            case OrderSeen():
                assert isinstance(fact.order, str)
                assert fact.order
                assert type(fact.version) is int
                assert fact.at.tzinfo is not None
                names = [(line.line, line.location) for line in fact.lines]
                assert len(set(names)) == len(names)
                for line in fact.lines:
                    # what came back elsewhere than it was sent from is held less than not at all there
                    low = -QUANTITY_LIMIT if line.location else 0
                    counted(line.taken, low=low)
                    counted(line.kept, low=low)
                    assert isinstance(line.line, str)
                    assert line.line
                    assert line.remote or line.alias or line.sku
                    texts(line.remote, line.alias, line.sku, line.location)
            case OrderHint():
                assert isinstance(fact.order, str)
                assert fact.order
            case LevelSeen():
                texts(fact.remote, fact.location)
                assert fact.remote
                assert fact.at is None or fact.at.tzinfo is not None
                counted(fact.quantity)
            case ItemSeen():
                for row in fact.listings:
                    texts(row.remote, row.sku, row.location, row.alias, row.group)
                    assert row.remote
                    counted(row.quantity)
                    assert row.at is None or row.at.tzinfo is not None
            case ItemGone():
                texts(*fact.remotes, fact.group)
                assert fact.remotes or fact.group


def counted(quantity: int | None, low: int = -QUANTITY_LIMIT) -> None:
    if quantity is not None:
        assert type(quantity) is int
        assert low <= quantity <= QUANTITY_LIMIT


def texts(*values: str) -> None:
    assert all(isinstance(value, str) for value in values)


def poisons(body: bytes):
    """Bodies that a platform, or what stands before it, may send instead of this one."""
    yield from (b"", b"null", b"[]", b"{}", b'"x"', b"17", b"\xff\xfe{}", b"<html></html>", b"nan")
    yield from (b'{"error":"unavailable"}', b'{"errors":[{"message":"no"}]}', body[:-1], body[1:])
    yield b"[" * 100_000 + b"]" * 100_000
    yield b'{"id":' * 50_000 + b"1" + b"}" * 50_000
    yield body.replace(b'"', b"'")
    yield b'{"a":1e999,"id":-0.0}'
    if body[:1] not in (b"{", b"["):
        return
    for path in itertools.islice(leaves(json.loads(body)), 400):
        for wrong in (10**30, -7, 1.5, "abc", "", None, True, [], {}, "\udcff", "9" * 400):
            yield json.dumps(changed(json.loads(body), path, wrong)).encode()


def leaves(found: Any, path: tuple[Any, ...] = ()):
    if isinstance(found, dict | list):
        yield path
        for key, value in found.items() if isinstance(found, dict) else enumerate(found):
            yield from leaves(value, (*path, key))
    else:
        yield path


def changed(found: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    at = found
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return found
