"""What the Shopify connector sends, and how it reads every answer and webhook."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta

import graphql
import pytest
from multidict import CIMultiDict
from pydantic import ValidationError

from syncd.connectors.base import Event, Outcome, Ref, WriteOp
from syncd.connectors.budget import Budget
from syncd.connectors.http import Http
from syncd.connectors.shopify import PAGE_COST_MAX, SCOPES, TOPICS, Shopify, ShopifyOptions
from syncd.connectors.shopify_answers import results, shaped
from syncd.connectors.shopify_documents import BULK_CATALOGUE, DOCUMENTS
from syncd.connectors.shopify_shapes import Written
from syncd.demo.standins.shopify import ShopifyStandin
from syncd.errors import BadFact, ChannelClosed, Refused, RetryLater, Unsigned
from syncd.stock.model import ChannelGone, ItemGone, Kind, LevelSeen, OrderHint, OrderSeen
from tests.contract.bench import opened
from tests.contract.shopify_specs import folder

GIVEN = {"shop": "urbanwear", "access_token": "t-oken", "webhook_secret": "s-ecret"}
BIG = 271878346596884015


def connector(**changes) -> Shopify:
    options = ShopifyOptions.model_validate({**GIVEN, **changes})
    return Shopify(options, Http(options.base_url, Budget(1e9, 1e9, workers=4)), lambda: NOW)


NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
async def bench():
    async with opened(ShopifyStandin()) as bench:
        for sku, quantity in (("A", 50), ("B", 40)):
            bench.store.add(sku, quantity)
        yield bench


# -- documents ----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["2026-04", "2026-07", "2026-10"])
def test_every_document_fits_the_vendors_schema(version):
    text = (folder() / f"connector-subset-{version}.graphql").read_text()
    schema = graphql.build_schema(text, assume_valid=True)
    for name, document in {**DOCUMENTS, "bulk": BULK_CATALOGUE}.items():
        assert graphql.validate(schema, graphql.parse(document)) == [], name


def test_documents_are_named_as_listed_and_use_nothing_deprecated():
    from graphql.validation import NoDeprecatedCustomRule

    text = (folder() / "connector-subset-2026-10.graphql").read_text()
    schema = graphql.build_schema(text, assume_valid=True)
    for name, document in DOCUMENTS.items():
        parsed = graphql.parse(document)
        assert [d.name.value for d in parsed.definitions] == [name]
        assert graphql.validate(schema, parsed, [NoDeprecatedCustomRule]) == [], name


def test_topics_exist():
    text = (folder() / "connector-subset-2026-10.graphql").read_text()
    kind = graphql.build_schema(text, assume_valid=True).type_map["WebhookSubscriptionTopic"]
    assert {topic.replace("/", "_").upper() for topic in TOPICS} <= kind.values.keys()


# -- options ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shop", ["urbanwear", "urbanwear.myshopify.com", "https://urbanwear.myshopify.com/"]
)
def test_the_shop_gives_the_address(shop):
    options = ShopifyOptions.model_validate({**GIVEN, "shop": shop})
    assert (options.shop, options.base_url) == ("urbanwear", "https://urbanwear.myshopify.com")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"access_token": None}, "either access_token"),
        ({"client_id": "c", "client_secret": "x"}, "either access_token"),
        ({"access_token": None, "client_secret": "x"}, "needs its client_id"),
        ({"shop": "no shop"}, "must be the name"),
        ({"shop": "evil.example.com"}, "must be the name"),
        ({"api_version": "2026-01"}, "older ones lack"),
        ({"api_version": "latest"}, "pattern"),
        ({"webhook_secret": ""}, "must not be empty"),
        ({"webhook_secret": []}, "must not be empty"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_wrong_options_say_why_and_tell_no_secret(changes, words):
    with pytest.raises(ValidationError, match=words) as caught:
        ShopifyOptions.model_validate({**GIVEN, **changes})
    assert "t-oken" not in str(caught.value)
    assert "s-ecret" not in str(caught.value)


# -- verify -------------------------------------------------------------------------------------


def signed(body: bytes, secret="s-ecret", **more) -> CIMultiDict[str]:
    mac = base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()
    return CIMultiDict({"X-Shopify-Hmac-Sha256": mac, "X-Shopify-Topic": "orders/create", **more})


def test_the_selfmade_vector_verifies():
    vector = json.loads((folder() / "samples/signature_vector_selfmade.json").read_text())
    headers = CIMultiDict({"x-shopify-hmac-sha256": vector["X-Shopify-Hmac-Sha256"]})
    shop = connector(webhook_secret=["old", vector["secret"]])
    assert shop.verify(headers, vector["raw_body"].encode())
    with pytest.raises(Unsigned):
        shop.verify(headers, vector["raw_body"].encode() + b" ")


def test_deliveries_are_named_by_webhook_id_then_event_id_then_body():
    names = [
        connector().verify(signed(b"{}", **more), b"{}").dedupe
        for more in (
            {"X-Shopify-Webhook-Id": "w", "X-Shopify-Event-Id": "e"},
            {"X-Shopify-Event-Id": "e"},
            {},
        )
    ]
    assert names[:2] == ["orders/create:w", "orders/create:e"]
    assert len(names[2]) == len("orders/create:") + 64


def test_a_delivery_for_another_shop_is_refused_though_the_key_is_the_same():
    ours = signed(b"{}", **{"X-Shopify-Shop-Domain": "Urbanwear.myshopify.com"})
    assert connector().verify(ours, b"{}")
    with pytest.raises(Unsigned, match="another shop"):
        connector().verify(signed(b"{}", **{"X-Shopify-Shop-Domain": "b.myshopify.com"}), b"{}")


def test_nanoseconds_and_nonsense_as_time():
    at = signed(b"{}", **{"X-Shopify-Triggered-At": "2026-08-07T22:56:28.834278316Z"})
    assert connector().verify(at, b"{}").triggered_at == datetime(
        2026, 8, 7, 22, 56, 28, 834278, UTC
    )
    at["X-Shopify-Triggered-At"] = "yesterday"
    assert connector().verify(at, b"{}").triggered_at is None


# -- parse --------------------------------------------------------------------------------------


def parse(topic, payload):
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return list(connector().parse(Event(topic, body, NOW)))


def test_every_recorded_payload_is_read():
    for path in sorted((folder() / "samples/webhooks").glob("*.json")):
        sample = json.loads(path.read_text())
        facts = parse(sample["topic"], sample["payload"])
        about_stock = sample["topic"].startswith(("orders/", "inventory_", "refunds/", "app/"))
        assert bool(facts) is about_stock, path


LEVEL = {
    "inventory_item_id": BIG,
    "location_id": 24826418,
    "available": 10,
    "updated_at": "2021-12-31T19:00:00-05:00",
}
AT = datetime(2022, 1, 1, tzinfo=UTC)


def test_levels_are_hints_with_exact_ids():
    assert parse("inventory_levels/update", LEVEL) == [LevelSeen(str(BIG), "24826418", 10, AT)]
    untold = {**LEVEL, "available": None}
    assert parse("inventory_levels/connect", untold) == [LevelSeen(str(BIG), "24826418", None, AT)]
    gone = {"inventory_item_id": BIG, "location_id": 24826418}
    assert parse("inventory_levels/disconnect", gone) == [LevelSeen(str(BIG), "24826418")]


def test_other_topics():
    assert parse("inventory_items/update", {"id": BIG, "sku": "x"}) == [LevelSeen(str(BIG))]
    assert parse("inventory_items/delete", {"id": BIG}) == [ItemGone((str(BIG),))]
    assert parse("products/update", {"variants": [{"inventory_item_id": 7}, {}]}) == [
        LevelSeen("7")
    ]
    assert parse("products/delete", {"id": BIG}) == []
    assert parse("refunds/create", {"id": 1, "order_id": BIG}) == [OrderHint(str(BIG))]
    assert parse("orders/edited", {"order_edit": {"order_id": 5}}) == [OrderHint("5")]
    assert parse("orders/delete", {"id": 5}) == [OrderHint("5")]
    assert [type(f) for f in parse("app/uninstalled", {"id": 5})] == [ChannelGone]
    assert parse("bulk_operations/finish", b"anything") == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"\xff\xfe",
        b"[]",
        b"[" * 100_000,
        b"{}",
        json.dumps({**LEVEL, "available": 1.5}).encode(),
        json.dumps({**LEVEL, "available": "5"}).encode(),
        json.dumps({**LEVEL, "available": True}).encode(),
        json.dumps({**LEVEL, "available": 10**9 + 1}).encode(),
        json.dumps({**LEVEL, "available": 10**30}).encode(),
        json.dumps({**LEVEL, "location_id": -5}).encode(),
        json.dumps({**LEVEL, "location_id": 10**40}).encode(),
        json.dumps({**LEVEL, "location_id": "a/b"}).encode(),
        json.dumps({**LEVEL, "updated_at": "soon"}).encode(),
    ],
)
def test_what_cannot_be_a_level_is_a_bad_fact(body):
    with pytest.raises(BadFact):
        parse("inventory_levels/update", body)


ORDER = {
    "id": 450789469,
    "name": "#1001",
    "created_at": "2026-01-01T10:00:00Z",
    "updated_at": "2026-01-02T10:00:00Z",
    "financial_status": "paid",
    "line_items": [{"id": 11, "variant_id": BIG, "sku": "A", "quantity": 5, "current_quantity": 5}],
}


def refund(kind, quantity, at="2026-01-02T09:00:00Z"):
    rows = [{"line_item_id": 11, "quantity": quantity, "restock_type": kind}]
    return {"created_at": at, "refund_line_items": rows}


def order(current=5, **changes) -> OrderSeen:
    line = {**ORDER["line_items"][0], "current_quantity": current}
    (seen,) = parse("orders/updated", {**ORDER, "line_items": [line], **changes})
    assert isinstance(seen, OrderSeen)
    return seen


# (what happened, current quantity, changes, taken, kept, kind)
STORIES = [
    ("sold", 5, {}, 5, 5, Kind.SALE),
    ("two put back", 3, {"refunds": [refund("return", 2)]}, 3, 3, Kind.REFUND),
    ("two refunded, not put back", 3, {"refunds": [refund("no_restock", 2)]}, 5, 3, Kind.SALE),
    (
        "one of each",
        3,
        {"refunds": [refund("no_restock", 1), refund("legacy_restock", 1)]},
        4,
        3,
        Kind.REFUND,
    ),
    ("edited down", 4, {}, 4, 4, Kind.SALE),
    (
        "cancelled and put back",
        0,
        {"cancelled_at": "2026-01-02T09:00:00Z", "refunds": [refund("cancel", 5)]},
        0,
        0,
        Kind.CANCELLATION,
    ),
    (
        "cancelled, not put back",
        5,
        {"cancelled_at": "2026-01-02T09:00:00Z"},
        5,
        0,
        Kind.CANCELLATION,
    ),
]


@pytest.mark.parametrize(
    ("current", "changes", "taken", "kept", "kind"),
    [s[1:] for s in STORIES],
    ids=[s[0] for s in STORIES],
)
def test_taken_is_what_is_off_the_shelf(current, changes, taken, kept, kind):
    seen = order(current, **changes)
    (line,) = seen.lines
    assert (line.line, line.alias, line.sku) == ("11", str(BIG), "A")
    assert (line.taken, line.kept, seen.kind) == (taken, kept, kind)
    assert seen.terminal is ("cancelled_at" in changes)
    assert seen.version == 1_767_348_000_000_000


def test_when_the_shelf_moved():
    assert order().at == datetime(2026, 1, 1, 10, tzinfo=UTC)
    assert order(4).at == datetime(2026, 1, 2, 10, tzinfo=UTC)
    assert order(3, refunds=[refund("return", 2)]).at == datetime(2026, 1, 2, 9, tzinfo=UTC)
    cancelled = order(0, cancelled_at="2026-01-03T09:00:00Z", refunds=[refund("cancel", 5)])
    assert cancelled.at == datetime(2026, 1, 3, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "paid"),
    [("paid", True), ("pending", False), ("voided", False), ("refunded", True), (None, True)],
)
def test_paid(status, paid):
    assert order(financial_status=status).paid is paid


@pytest.mark.parametrize(
    "changes", [{"line_items": None}, {"id": 0}, {"created_at": "2026-01-01"}, {"updated_at": None}]
)
def test_what_cannot_be_an_order_is_a_bad_fact(changes):
    with pytest.raises(BadFact):
        order(**changes) if "line_items" not in changes else parse(
            "orders/create", {**ORDER, **changes}
        )


def test_a_negative_line_is_a_bad_fact():
    with pytest.raises(BadFact):
        order(-1)


# -- writing ------------------------------------------------------------------------------------


def answered(*errors, count=3):
    data = {"inventoryAdjustmentGroup": None, "userErrors": [*errors]}
    return [(r.outcome, r.reason) for r in results(shaped(data, Written), count)]


def error(code, *path, message="words"):
    return {"code": code, "field": ["input", *path] if path else None, "message": message}


def test_stale_rows_are_named_and_the_others_were_not_applied():
    outcomes = answered(
        error("CHANGE_FROM_QUANTITY_STALE", "quantities", "1", "changeFromQuantity")
    )
    assert [o for o, _ in outcomes] == [Outcome.NOT_APPLIED, Outcome.STALE, Outcome.NOT_APPLIED]


@pytest.mark.parametrize(
    "code", ["INVALID_INVENTORY_ITEM", "NON_MUTABLE_INVENTORY_ITEM", "BRAND_NEW", None]
)
def test_refused_rows_are_told_in_the_platforms_words(code):
    stale = error("CHANGE_FROM_QUANTITY_STALE", "changes", "2", "changeFromQuantity")
    outcomes = answered(stale, error(code, "changes", "2", "inventoryItemId"))
    assert outcomes[2] == (Outcome.REFUSED, f"{code}: words")
    assert outcomes[0][0] is Outcome.NOT_APPLIED


@pytest.mark.parametrize(
    "path", [("reason",), (), ("quantities", "3", "quantity"), ("quantities", "x")]
)
def test_an_error_that_names_no_row_of_ours(path):
    assert {o for o, _ in answered(error("INVALID_REASON", *path))} == {Outcome.UNNAMED}


def test_errors_about_keys():
    with pytest.raises(RetryLater) as caught:
        answered(error("IDEMPOTENCY_CONCURRENT_REQUEST"))
    assert caught.value.maybe_applied
    with pytest.raises(Refused, match="other rows"):
        answered(error("IDEMPOTENCY_KEY_PARAMETER_MISMATCH"))
    failed = answered(error("IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED"))
    assert {o for o, _ in failed} == {Outcome.NOT_APPLIED}


async def test_a_failed_attempt_is_learned_of_under_its_own_key(bench):
    ref = (await bench.refs())["A"]
    bench.store.quantities.failing = 1
    with pytest.raises(RetryLater) as caught:
        await bench.write((ref, 50, 51), key="k")
    assert caught.value.maybe_applied
    (told,) = await bench.write((ref, 50, 51), key="k")
    assert told.outcome is Outcome.NOT_APPLIED
    (told,) = await bench.write((ref, 50, 51), key="l")
    assert (told.outcome, bench.store.shelf("A")) == (Outcome.APPLIED, 51)


async def test_a_key_under_way_may_apply(bench):
    ref = (await bench.refs())["A"]
    bench.store.quantities.busy_keys.add("k")
    with pytest.raises(RetryLater) as caught:
        await bench.write((ref, 50, 51), key="k")
    assert caught.value.maybe_applied


async def test_an_unnamed_failure(bench):
    refs = await bench.refs()
    bench.store.quantities.unnamed = 1
    told = await bench.write((refs["A"], 50, 51), (refs["B"], 40, 41))
    assert {r.outcome for r in told} == {Outcome.UNNAMED}


async def test_a_delta_of_nothing_is_not_sent_and_moves_no_other_row(bench):
    refs = await bench.refs()
    calls = bench.store.counters.calls
    (told,) = await bench.write((refs["A"], 7, 7), op=WriteOp.DELTA)
    assert (told.outcome, bench.store.counters.calls) == (Outcome.APPLIED, calls)
    bench.store.faults.refuse_skus.add("B")
    a, b = await bench.write((refs["A"], 7, 7), (refs["B"], 1, 2), op=WriteOp.DELTA)
    assert (a.outcome, b.outcome) == (Outcome.APPLIED, Outcome.REFUSED)


async def test_a_delta_needs_both_ends(bench):
    with pytest.raises(Refused):
        await bench.write(((await bench.refs())["A"], None, 7), op=WriteOp.DELTA)


async def test_a_set_without_comparison_says_so(bench):
    (told,) = await bench.write(((await bench.refs())["A"], None, -7))
    assert (told.outcome, bench.store.shelf("A")) == (Outcome.APPLIED, -7)
    assert told.at is not None


# -- reading ------------------------------------------------------------------------------------


async def test_one_item_at_several_locations(bench):
    item, place = bench.store.store.by_sku("A"), bench.store.store.add_place("two")
    level = bench.store.add_at(item, place, 7)
    here, there = str(bench.store.store.primary.id), str(place.id)
    refs = [Ref(str(item.id), there, "A"), Ref(str(item.id), here, "A"), Ref("12", here, "x")]
    first, second, gone = await bench.connector.read(refs)
    assert (first.quantity, second.quantity, gone.missing) == (7, 50, True)
    assert first.at is not None
    level.active = False
    first, _ = await bench.connector.read(refs[:2])
    assert first.missing
    assert [row.location for row in await bench.listings() if row.sku == "A"] == [here]
    item.tracked = False
    _, second = await bench.connector.read(refs[:2])
    assert (second.quantity, second.missing) == (None, False)
    assert [(r.managed, r.quantity) for r in await bench.listings() if r.sku == "A"] == [
        (False, None)
    ]


async def test_the_parent_of_the_shops_own_bundle_is_not_managed(bench):
    bench.store.store.by_sku("A").bundle = True
    rows = {row.sku: (row.managed, row.quantity) for row in await bench.listings()}
    assert (rows["A"], rows["B"]) == ((False, None), (True, 40))


async def test_items_at_more_locations_than_a_page_holds(bench):
    item = bench.store.store.by_sku("A")
    for number in range(120):
        bench.store.add_at(item, bench.store.store.add_place(str(number)), number)
    rows = [row for row in await bench.listings() if row.sku == "A"]
    assert sorted(row.quantity for row in rows) == sorted([50, *range(120)])


@pytest.mark.parametrize("spoil", [{"truncate": True}, {"forget": 1}, {"fail": True}])
async def test_a_spoilt_bulk_file_is_no_catalogue(spoil):
    async with opened(ShopifyStandin(bulk_above=0)) as bench:
        bench.store.add("A", 1)
        for name, value in spoil.items():
            setattr(bench.store.bulk, name, value)
        with pytest.raises(RetryLater):
            await bench.listings()


async def test_a_bulk_reading_waits_and_counts_as_asked_before(bench):
    bulky = bench.again(bulk_above=0)
    pages = [page async for page in bulky.listings()]
    assert all(page.asked_before for page in pages)
    assert [bool(page.wait_s) for page in pages] == [True, True, False]
    assert sorted(row.sku for page in pages for row in page.rows) == ["A", "B"]


async def test_the_sixth_bulk_operation_waits_its_turn(bench):
    bench.store.bulk.polls = 1000
    readings = [bench.again(bulk_above=0).listings() for _ in range(6)]
    for reading in readings[:5]:
        assert (await anext(reading)).wait_s
    with pytest.raises(RetryLater, match="under way") as caught:
        await anext(readings[5])
    assert caught.value.after_s
    for reading in readings:
        await reading.aclose()


async def test_a_catalogue_shorter_than_it_should_be(bench, monkeypatch):
    roots = bench.store._roots
    count = {"count": 3, "precision": "EXACT"}
    monkeypatch.setattr(
        bench.store.api, "_roots", lambda: {**roots(), "productVariantsCount": count}
    )
    with pytest.raises(RetryLater, match="ended early"):
        await bench.listings()


async def test_orders_with_many_lines_and_refunds_are_read_whole(bench):
    for number in range(130):
        bench.store.add(f"S{number}", 9)
    order = await bench.store.sell({f"S{n}": 2 for n in range(130)})
    for number in range(130):
        await bench.store.refund(order, f"S{number}", 1, restock=number % 2 == 0)
    (seen,) = await bench.connector.orders([order])
    assert len(seen.lines) == 130
    assert [line.taken for line in seen.lines] == [1, 2] * 65
    (polled,) = [
        o async for page in bench.connector.orders_since(NOW.replace(year=2020)) for o in page
    ]
    assert polled == seen


# -- speaking -----------------------------------------------------------------------------------


async def test_throttling_by_points_waits_as_long_as_it_takes(bench):
    ref = (await bench.refs())["A"]
    bench.store.faults.buckets = True
    bench.store.api.bucket.restore = 1.0
    bench.store.api.bucket.take(bench.store.api.bucket.left())
    with pytest.raises(RetryLater) as caught:
        await bench.write((ref, 50, 51))
    assert (caught.value.throttled, caught.value.maybe_applied) == (True, False)
    assert 12.0 <= caught.value.after_s <= 14.0
    assert bench.store.shelf("A") == 50


async def test_a_question_without_an_answer_has_changed_nothing(bench):
    ref = (await bench.refs())["A"]
    bench.store.faults.status = 500
    with pytest.raises(RetryLater) as caught:
        await bench.connector.read([ref])
    assert not caught.value.maybe_applied
    with pytest.raises(RetryLater) as caught:
        await bench.write((ref, 50, 51))
    assert caught.value.maybe_applied


async def test_the_budget_learns_the_bucket(bench):
    await bench.connector.open()
    assert (bench.http.budget.capacity, bench.http.budget.rate) == (2000, 100)


async def test_a_call_costs_what_the_platform_took_not_what_was_reserved(bench):
    ref = (await bench.refs())["A"]
    before = bench.http.budget.spent
    bench.store.faults.refuse_skus.add("A")
    await bench.write((ref, 50, 51))
    assert bench.http.budget.spent - before == 10


async def test_no_page_has_to_save_for_long(bench, monkeypatch):
    budget = bench.http.budget
    acquire, costs = budget.acquire, []

    async def acquiring(cost, *rest):
        costs.append(cost)
        return await acquire(cost, *rest)

    monkeypatch.setattr(budget, "acquire", acquiring)
    await bench.store.sell({"A": 1})
    assert [page async for page in bench.connector.listings()]
    since = datetime.now(UTC) - timedelta(minutes=5)
    assert [page async for page in bench.connector.orders_since(since)]
    assert max(costs) <= PAGE_COST_MAX


async def test_missing_permissions_are_named(bench):
    assert (await bench.connector.open()).missing_scopes == ()
    bench.store.scopes = ("write_inventory",)
    missing = (await bench.connector.open()).missing_scopes
    assert set(missing) == set(SCOPES) - {"read_inventory", "write_inventory"}


class Clock:
    def __init__(self):
        self.now = datetime.now(UTC)

    def __call__(self):
        return self.now


async def granted(bench, clock):
    client_id, secret = bench.store.client
    given = {**bench.options, "client_id": client_id, "client_secret": secret}
    del given["access_token"]
    options = ShopifyOptions.model_validate(given)
    http = Http(options.base_url, Budget(1e9, 1e9, workers=4))
    return Shopify(options, http, clock), http


async def test_tokens_by_client_credentials_are_fetched_once_and_renewed_in_time(bench):
    import asyncio

    clock = Clock()
    shop, http = await granted(bench, clock)
    try:
        await asyncio.gather(*(shop.locations() for _ in range(5)))
        assert len(bench.store._granted) == 1
        clock.now += timedelta(seconds=0.79 * 86_399)
        await shop.locations()
        assert len(bench.store._granted) == 1
        clock.now += timedelta(seconds=0.02 * 86_399)
        await shop.locations()
        assert len(bench.store._granted) == 2
    finally:
        await http.close()


async def test_a_token_that_ended_early_is_renewed_and_wrong_credentials_close(bench):
    clock = Clock()
    shop, http = await granted(bench, clock)
    try:
        await shop.locations()
        bench.store._granted.clear()
        clock.now += timedelta(seconds=3600)
        with pytest.raises(RetryLater):
            await shop.locations()
        assert await shop.locations()
        bench.store.client = ("other", "secret")
        clock.now += timedelta(days=2)
        with pytest.raises(ChannelClosed):
            await shop.locations()
    finally:
        await http.close()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (402, ChannelClosed),
        (404, ChannelClosed),
        (423, ChannelClosed),
        (430, RetryLater),
        (400, Refused),
    ],
)
async def test_statuses_with_a_meaning_of_their_own(bench, status, kind):
    bench.store.faults.status = status
    with pytest.raises(kind):
        await bench.connector.locations()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (
            {"errors": [{"message": "x", "extensions": {"code": "ACCESS_DENIED"}}], "data": None},
            ChannelClosed,
        ),
        ({"errors": [{"message": "x", "extensions": {"code": "SHOP_INACTIVE"}}]}, ChannelClosed),
        (
            {"errors": [{"message": "x", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]},
            RetryLater,
        ),
        ({"errors": [{"message": "x", "extensions": {"code": "BAD_REQUEST"}}]}, Refused),
        ({"errors": "something"}, RetryLater),
        ({"errors": [None]}, RetryLater),
        ({"data": {"nodes": [None]}, "errors": [{"message": "partly"}]}, RetryLater),
        ({"data": {"nodes": []}}, RetryLater),
        ({"data": {"nodes": "x"}}, RetryLater),
        ({"data": None}, RetryLater),
        ({}, RetryLater),
        ([], RetryLater),
    ],
)
async def test_no_broken_answer_to_a_reading_looks_like_a_missing_item(
    bench, monkeypatch, body, kind
):
    ref = (await bench.refs())["A"]
    monkeypatch.setattr(bench.store.api, "answer", lambda *_: body)
    with pytest.raises(kind):
        await bench.connector.read([ref])


async def test_what_was_written_counts_though_a_part_of_the_answer_failed(bench, monkeypatch):
    ref = (await bench.refs())["A"]
    payload = {"inventorySetQuantities": {"inventoryAdjustmentGroup": None, "userErrors": []}}
    body = {"data": payload, "errors": [{"message": "group: timed out"}]}
    monkeypatch.setattr(bench.store.api, "answer", lambda *_: body)
    (told,) = await bench.write((ref, 50, 51))
    assert told.outcome is Outcome.APPLIED


async def test_writes_whose_answer_cannot_be_read_may_have_been_applied(bench, monkeypatch):
    ref = (await bench.refs())["A"]
    for body in ({"data": {"inventorySetQuantities": None}}, {"data": {}}, {}, {"data": {"x": 1}}):
        monkeypatch.setattr(bench.store.api, "answer", lambda *_, body=body: body)
        with pytest.raises(RetryLater) as caught:
            await bench.write((ref, 50, 51))
        assert caught.value.maybe_applied


async def test_a_subscription_that_points_elsewhere_is_moved(bench):
    await bench.connector.subscribe("orders/create", "http://127.0.0.1:1/webhooks/uk")
    await bench.connector.subscribe("orders/create", "http://127.0.0.1:2/webhooks/uk")
    await bench.connector.subscribe("orders/create", "http://127.0.0.1:2/webhooks/de")
    addresses = [s.address for s in await bench.connector.subscriptions()]
    assert addresses == ["http://127.0.0.1:2/webhooks/uk", "http://127.0.0.1:2/webhooks/de"]


async def test_a_filtered_subscription_is_unhealthy_until_subscribed_again(bench):
    address = "http://127.0.0.1:1/webhooks/uk"
    await bench.connector.subscribe("orders/create", address)
    (hook,) = bench.store.webhooks.values()
    hook.filter = "id:1"
    assert [s.healthy for s in await bench.connector.subscriptions()] == [False]
    await bench.connector.subscribe("orders/create", address)
    assert [s.healthy for s in await bench.connector.subscriptions()] == [True]


async def test_an_address_the_platform_refuses(bench):
    bench.store.allow_http = False
    with pytest.raises(Refused, match="not supported"):
        await bench.connector.subscribe("orders/create", "http://example.com/webhooks/uk")
