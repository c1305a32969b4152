"""Every number syncd shows to Prometheus, declared in one place under names that stay.

Labels are closed sets or names from the configuration: never a sku and never an order.
"""

from __future__ import annotations

import platform as machine

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics import MetricWrapperBase

from syncd import __version__
from syncd.stock.model import Kind

ACK_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""The edges at 1 s and 5 s are Shopify's connect and reply limits (vendor documentation)."""

PROPAGATION_BUCKETS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
CALL_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
WAIT_BUCKETS_S = (0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0)
SWEEP_BUCKETS_S = (0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)

DRIFT_CAUSES = (
    "in_flight",
    "unconfirmed_write",
    "missed_webhook",
    "edited",
    "foreign_writer",
    "platform_clamp",
    "remapped",
    "unmanaged",
)
"""Why a sweep found a difference (model.md §6)."""

DELIVERY_OUTCOMES = ("applied", "stale", "refused", "not_applied", "unnamed", "skipped")
"""What the platform answered of a row, or that it was not asked."""

EVENT_OUTCOMES = (
    "taken",
    "poison",
    "booked",
    "old",
    "ambiguous",
    "merged",
    "echo",
    "unknown_listing",
    "kept",
    "provisional",
    "duplicate",
    "refused",
)
"""What became of a stored event, of the facts in it, and of posted movements."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""What `render` speaks."""

# `_created` series double the size of a scrape and nothing reads them.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The metrics of one process; attributes bear the metric's name without `syncd_`.

    Each instance has its own registry unless one is given, so tests never share counts.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self._by_channel: list[tuple[MetricWrapperBase, tuple[str, ...]]] = []
        ProcessCollector(registry=self.registry)
        self._declare_inbound()
        self._declare_outbound()
        self._declare_trouble()
        self._declare_process()

    def _declare_inbound(self) -> None:
        self.webhooks_received_total = self._counter(
            "webhooks_received_total",
            "Webhooks answered, by what was answered.",
            ("channel", "topic", "outcome"),
        )
        self.webhook_ack_seconds = self._histogram(
            "webhook_ack_seconds", "Time from request to answer of a webhook.", ACK_BUCKETS_S
        )
        self.webhook_last_received_timestamp_seconds = self._gauge(
            "webhook_last_received_timestamp_seconds",
            "When the newest verified webhook arrived; 0: none yet.",
            ("channel",),
        )
        self.inbox_oldest_age_seconds = self._gauge(
            "inbox_oldest_age_seconds", "Age of the oldest event not taken in yet."
        )
        self.events_total = self._counter(
            "events_total",
            "Stored events and their facts, by what became of them.",
            ("channel", "outcome"),
        )
        self.movements_total = self._counter(
            "movements_total", "Movements booked.", ("channel", "kind")
        )
        self.echo_total = self._counter("echo_total", "Hints and readings that repeated shown.")

    def _declare_outbound(self) -> None:
        self.outbox_rows = self._gauge("outbox_rows", "Deliveries owed.", ("channel",))
        self.outbox_oldest_age_seconds = self._gauge(
            "outbox_oldest_age_seconds", "Age of the oldest delivery owed.", ("channel",)
        )
        self.units_at_risk = self._gauge(
            "units_at_risk", "Units that listings show above their targets now.", ("channel",)
        )
        self.deliveries_total = self._counter(
            "deliveries_total",
            "Attempted deliveries, by what was answered.",
            ("channel", "outcome"),
        )
        self.delivery_seconds = self._histogram(
            "delivery_seconds", "Time from claim to answer.", CALL_BUCKETS_S, ("channel",)
        )
        self.propagation_seconds = self._histogram(
            "propagation_seconds",
            "Time from an event's arrival to the platform's confirmation.",
            PROPAGATION_BUCKETS_S,
            ("channel",),
        )
        self.calls_total = self._counter(
            "calls_total", "Calls to platforms.", ("channel", "op", "outcome")
        )
        self.call_seconds = self._histogram(
            "call_seconds", "Time of one call to a platform.", CALL_BUCKETS_S, ("channel", "op")
        )
        self.budget_available = self._gauge(
            "budget_available", "Budget units that may be spent now.", ("channel",)
        )
        self.budget_wait_seconds = self._histogram(
            "budget_wait_seconds", "Time a call waited for its budget.", WAIT_BUCKETS_S
        )
        self.breaker_state = self._gauge(
            "breaker_state", "0 closed, 1 half open, 2 open.", ("channel",)
        )

    def _declare_trouble(self) -> None:
        self.ambiguous_total = self._counter(
            "ambiguous_total", "Writes of which nobody knows whether they were applied."
        )
        self.stale_compare_total = self._counter(
            "stale_compare_total", "Rows whose compare-and-set was refused."
        )
        self.throttled_total = self._counter("throttled_total", "Calls refused by a rate limit.")
        self.drift_total = self._counter(
            "drift_total", "Differences found by sweeps.", ("channel", "cause")
        )
        self.sweep_last_success_timestamp_seconds = self._gauge(
            "sweep_last_success_timestamp_seconds",
            "When the last complete sweep ended; 0: none yet.",
            ("channel",),
        )
        self.sweep_seconds = self._histogram("sweep_seconds", "Time of a sweep.", SWEEP_BUCKETS_S)
        self.skipped = self._gauge("skipped", "Deliveries not made now, by reason.", ("reason",))
        self.parked = self._gauge(
            "parked", "Deliveries given up until a person acts.", ("channel",)
        )
        self.plans_waiting = self._gauge("plans_waiting", "Plans waiting for a person.")
        self.suspense = self._gauge(
            "suspense", "Amounts waiting for a person.", ("channel", "reason")
        )
        self.retired = self._gauge(
            "retired", "Listings taken out of sale while nothing is left of them.", ("channel",)
        )
        self.channel_silent = self._gauge(
            "channel_silent", "1: nothing is heard of it, and others keep a reserve.", ("channel",)
        )
        self.unseen_units = self._gauge(
            "unseen_units", "Units reserved for what it may have sold unseen.", ("channel",)
        )
        self.oversell_units_total = self._counter(
            "oversell_units_total", "Units sold that were not there.", ("channel",)
        )
        self.subscriptions_missing = self._gauge(
            "subscriptions_missing", "Webhook registrations missing or unhealthy.", ("channel",)
        )

    def _declare_process(self) -> None:
        self.channel_info = self._gauge(
            "channel_info", "1 for every configured channel.", ("channel", "platform")
        )
        self.config_last_reload_successful = self._gauge(
            "config_last_reload_successful", "1: the newest configuration is in use."
        )
        self.config_last_reload_success_timestamp_seconds = self._gauge(
            "config_last_reload_success_timestamp_seconds",
            "When a configuration was last taken up.",
        )
        self.db_oldest_xmin_age_seconds = self._gauge(
            "db_oldest_xmin_age_seconds", "Age of the oldest transaction that holds back vacuum."
        )
        self.sql_statements_total = self._counter("sql_statements_total", "SQL statements sent.")
        self.event_loop_lag_seconds = self._gauge(
            "event_loop_lag_seconds",
            "How late the event loop woke a waiting task, worst of the last 10 s.",
        )
        self.build_info = Info("syncd_build", "What runs.", registry=self.registry)
        self.build_info.info({"version": __version__, "python": machine.python_version()})

    def channel_added(self, name: str, platform: str) -> None:
        """Bring this channel's series into being at 0, so that alerts see them from the start."""
        self.channel_info.labels(name, platform).set(1)
        for metric, labels in self._by_channel:
            if labels == ("channel",):
                metric.labels(name)
        for outcome in DELIVERY_OUTCOMES:
            self.deliveries_total.labels(name, outcome)
        for outcome in EVENT_OUTCOMES:
            self.events_total.labels(name, outcome)
        for kind in Kind:
            self.movements_total.labels(name, kind.value)
        for cause in DRIFT_CAUSES:
            self.drift_total.labels(name, cause)

    def channel_removed(self, name: str) -> None:
        """Forget every series of this channel."""
        for metric, _ in self._by_channel:
            metric.remove_by_labels({"channel": name})

    def render(self) -> bytes:
        """All metrics in Prometheus' text format (`CONTENT_TYPE`)."""
        return generate_latest(self.registry)

    def _keep(self, metric: MetricWrapperBase, labels: tuple[str, ...]) -> None:
        if "channel" in labels:
            self._by_channel.append((metric, labels))

    def _counter(self, name: str, meaning: str, labels: tuple[str, ...] = ()) -> Counter:
        metric = Counter(f"syncd_{name}", meaning, labels, registry=self.registry)
        self._keep(metric, labels)
        return metric

    def _gauge(self, name: str, meaning: str, labels: tuple[str, ...] = ()) -> Gauge:
        metric = Gauge(f"syncd_{name}", meaning, labels, registry=self.registry)
        self._keep(metric, labels)
        return metric

    def _histogram(
        self, name: str, meaning: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()
    ) -> Histogram:
        metric = Histogram(
            f"syncd_{name}", meaning, labels, buckets=buckets, registry=self.registry
        )
        self._keep(metric, labels)
        return metric
