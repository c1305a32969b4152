"""What operators see: metrics under their names, logs without secrets, checks, and systemd's word."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import re
import shutil
import socket
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from syncd.telemetry import logs, notify
from syncd.telemetry.health import CHECK_TIMEOUT_S, Health, Verdict
from syncd.telemetry.looplag import SAMPLES, LoopLag
from syncd.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]
CANARY = "canary/9f3b+7c1d=="

# ---- metrics

SURFACES = """
webhooks_received_total{channel,topic,outcome} webhook_ack_seconds
webhook_last_received_timestamp_seconds{channel} inbox_oldest_age_seconds
movements_total{channel,kind} outbox_rows{channel} outbox_oldest_age_seconds{channel}
units_at_risk{channel} deliveries_total{channel,outcome} delivery_seconds{channel}
propagation_seconds{channel} ambiguous_total stale_compare_total throttled_total
budget_available{channel} budget_wait_seconds breaker_state{channel} echo_total
drift_total{channel,cause} sweep_last_success_timestamp_seconds{channel} sweep_seconds
skipped{reason} parked{channel} suspense{channel,reason} oversell_units_total{channel}
subscriptions_missing{channel} config_last_reload_successful
config_last_reload_success_timestamp_seconds db_oldest_xmin_age_seconds event_loop_lag_seconds
events_total{channel,outcome} calls_total{channel,op,outcome} call_seconds{channel,op}
sql_statements_total plans_waiting retired{channel} channel_silent{channel} unseen_units{channel}
"""


def families(metrics: Metrics) -> set[str]:
    return set(re.findall(r"^# TYPE (\S+) ", metrics.render().decode(), re.MULTILINE))


@pytest.mark.parametrize("written", SURFACES.split())
def test_metrics_bear_the_names_and_labels_that_stay(written: str) -> None:
    name, _, labels = written.rstrip("}").partition("{")
    metrics = Metrics()
    assert f"syncd_{name}" in families(metrics)
    metric = getattr(metrics, name)
    assert metric._labelnames == tuple(labels.split(",") if labels else ())


def test_build_info_says_what_runs() -> None:
    assert re.search(rb'syncd_build_info\{[^}]*version="', Metrics().render())


def test_two_instances_share_nothing() -> None:
    one, other = Metrics(), Metrics()
    one.echo_total.inc(3)
    assert b"syncd_echo_total 3.0" in one.render()
    assert b"syncd_echo_total 0.0" in other.render()


def test_a_channel_has_its_series_from_the_start_and_leaves_none() -> None:
    metrics = Metrics()
    before = metrics.render()
    metrics.channel_added("uk", "shopify")
    text = metrics.render().decode()
    for wanted in (
        'syncd_channel_info{channel="uk",platform="shopify"} 1.0',
        'syncd_outbox_rows{channel="uk"} 0.0',
        'syncd_parked{channel="uk"} 0.0',
        'syncd_oversell_units_total{channel="uk"} 0.0',
        'syncd_deliveries_total{channel="uk",outcome="refused"} 0.0',
        'syncd_events_total{channel="uk",outcome="poison"} 0.0',
        'syncd_movements_total{channel="uk",kind="sale"} 0.0',
        'syncd_drift_total{cause="missed_webhook",channel="uk"} 0.0',
        'syncd_propagation_seconds_count{channel="uk"} 0.0',
    ):
        assert wanted in text
    metrics.webhooks_received_total.labels("uk", "orders/create", "stored").inc()
    metrics.channel_added("de", "shopware")
    metrics.channel_removed("uk")
    assert b'"uk"' not in metrics.render()
    assert b'"de"' in metrics.render()
    metrics.channel_removed("de")
    stable = re.compile(rb"^(?:process_|python_).*$", re.MULTILINE)
    assert stable.sub(b"", metrics.render()) == stable.sub(b"", before)


def test_the_acknowledgement_has_the_edges_that_senders_have() -> None:
    text = Metrics().render().decode()
    assert 'syncd_webhook_ack_seconds_bucket{le="1.0"}' in text
    assert 'syncd_webhook_ack_seconds_bucket{le="5.0"}' in text


def known_series() -> set[str]:
    """Every name a query may use: families, and the parts of histograms."""
    found = families(Metrics()) | {"process_start_time_seconds"}
    return found | {f"{name}{part}" for name in found for part in ("_bucket", "_count", "_sum")}


@pytest.mark.parametrize("path", ["deploy/prometheus/alerts.yml", "deploy/grafana/syncd.json"])
def test_what_is_shipped_names_only_metrics_that_exist(path: str) -> None:
    text = (ROOT / path).read_text()
    used = set(re.findall(r"\b(?:syncd|process)_[a-z_]+", text))
    assert len(used) > 10
    assert used - known_series() == set()


def alerts() -> list[tuple[str, str]]:
    """Each alert's name and its text in the file."""
    text = (ROOT / "deploy/prometheus/alerts.yml").read_text()
    parts = re.split(r"^ +- alert: (\w+)\n", text, flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize(("name", "text"), alerts())
def test_an_alert_says_how_bad_and_what_to_do(name: str, text: str) -> None:
    assert name.startswith("Syncd")
    assert re.search(r"severity: (page|ticket|info)\b", text)
    assert "summary: " in text
    assert "description: " in text
    assert f"runbook_url: docs/runbook.md#{name.lower()}" in text
    for opening, closing in ("()", "[]", "{}"):
        assert text.count(opening) == text.count(closing)


def test_alerts_have_names_of_their_own() -> None:
    names = [name for name, _ in alerts()]
    assert len(names) > 15
    assert len(names) == len(set(names))


def test_the_dashboard_is_whole() -> None:
    board = json.loads((ROOT / "deploy/grafana/syncd.json").read_text())
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, f"{panel['title']} lies on another panel"
        taken |= cells
        for target in panel.get("targets", []):
            for opening, closing in ("()", "[]", "{}"):
                assert target["expr"].count(opening) == target["expr"].count(closing)


def test_promtool_accepts_rules_and_queries(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    board = json.loads((ROOT / "deploy/grafana/syncd.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    rules = [
        {"record": f"panel:{number}", "expr": re.sub(r"\$__rate_interval", "5m", query)}
        for number, query in enumerate(queries)
    ]
    panels = tmp_path / "panels.json"
    panels.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    for path in (panels, ROOT / "deploy/prometheus/alerts.yml"):
        done = subprocess.run(
            [promtool, "check", "rules", str(path)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


# ---- logs


@pytest.fixture
def out(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What was written to stdout; the log is as before afterwards."""
    stream = io.StringIO()
    # pytest swaps sys.stdout between a fixture and its test
    monkeypatch.setattr(logs, "sys", SimpleNamespace(stdout=stream))
    monkeypatch.setattr(logs, "_redactor", logs.Redactor())
    root = logging.getLogger()
    level, access = root.level, logging.getLogger("aiohttp.access").level
    yield stream
    if logs._handler is not None:
        root.removeHandler(logs._handler)
    root.setLevel(level)
    logging.getLogger("aiohttp.access").setLevel(access)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_time_level_and_fields(out: io.StringIO) -> None:
    logs.configure("info", "json")
    with logs.context(channel="uk", event_id=7):
        logs.get_logger("syncd.lane").info("lane.parked", sku="A-1", quantity=2**60)
    logs.get_logger("syncd.lane").debug("lane.quiet")
    (line,) = lines(out)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "lane.parked",
        "level": "info",
        "logger": "syncd.lane",
        "channel": "uk",
        "event_id": 7,
        "sku": "A-1",
        "quantity": 2**60,
    }


def test_libraries_take_the_same_road(out: io.StringIO) -> None:
    logs.configure("info", "json")
    logging.getLogger("asyncpg.pool").warning("lost %d connections", 3)
    logging.getLogger("aiohttp.access").info("GET /metrics")
    logging.getLogger("asyncio").debug("quiet")
    (line,) = lines(out)
    assert (line["event"], line["message"]) == ("log.asyncpg.pool", "lost 3 connections")
    assert (line["logger"], line["level"]) == ("asyncpg.pool", "warning")


def test_warnings_of_python_take_it_too(out: io.StringIO) -> None:
    logs.configure("info", "json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("old way", DeprecationWarning, stacklevel=1)
    (line,) = lines(out)
    assert line["event"] == "log.py.warnings"


def test_the_level_can_change_while_running(out: io.StringIO) -> None:
    log = logs.get_logger("syncd.x")
    logs.configure("warning", "json")
    log.info("x.one")
    logs.configure("debug", "json")
    log.debug("x.two")
    assert [line["event"] for line in lines(out)] == ["x.two"]


class Sly:
    """An object whose words hold a secret."""

    def __str__(self) -> str:
        return f"Sly({CANARY})"

    __repr__ = __str__


class Broken:
    def __str__(self) -> str:
        raise ValueError(CANARY)


def failing(token: str) -> None:
    raise RuntimeError(f"cannot use {token}")


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_reaches_the_log(out: io.StringIO, form: Any) -> None:
    secret_of_quotes = 'say "hi" \\ there'
    logs.configure("debug", form, [CANARY, secret_of_quotes])
    log = logs.get_logger("syncd.x")
    log.info("x.plain", text=f"a{CANARY}b", deep={"in": [f"{CANARY}", {CANARY: 1}], "sly": Sly()})
    named = "x." + CANARY
    log.info(named, sly=Sly(), error=ValueError(CANARY), broken=Broken())
    log.info("x.url", url="https://x/?key=canary%2F9f3b%2B7c1d%3D%3D")
    log.info("x.body", body=json.dumps({"a": secret_of_quotes}), raw=CANARY.encode())
    log.info("x.quotes", text=secret_of_quotes)
    logging.getLogger("asyncpg").error("password %s of %s", CANARY, Sly())
    try:
        failing(CANARY)
    except RuntimeError:
        log.exception("x.failed", also=Sly())
        logging.getLogger("aiohttp.server").exception("Error with %s", CANARY)
    with logs.context(channel=CANARY):
        log.info("x.context")
    text = out.getvalue()
    assert text.count("[hidden]") >= 10
    for form_of_it in (CANARY, "9f3b", "there", 'say "hi"', 'say \\"hi'):
        assert form_of_it not in text


def test_telling_keys_are_hidden_whatever_they_hold(out: io.StringIO) -> None:
    logs.configure("info", "json")
    logs.get_logger("x").info(
        "x.y",
        access_token="one",
        headers={"Authorization": "two", "X-Shopify-Hmac-Sha256": "three", "Accept": "fine"},
        options={"api_key": "four", "webhook_secret": ["five"], "Cookie": "six"},
        dsn="seven",
        idempotency_key="shown",
        key="shown too",
    )
    (line,) = lines(out)
    for word in ("one", "two", "three", "four", "five", "six", "seven"):
        assert f'"{word}"' not in out.getvalue()
    assert line["headers"]["Accept"] == "fine"
    assert (line["idempotency_key"], line["key"]) == ("shown", "shown too")


def test_old_secrets_stay_hidden_after_a_rotation(out: io.StringIO) -> None:
    logs.configure("info", "json", ["old-secret"])
    logs.configure("info", "json", ["new-secret"])
    logs.get_logger("x").info("x.y", text="old-secret new-secret")
    assert lines(out)[0]["text"] == "[hidden] [hidden]"


def test_short_secrets_do_not_blot_out_the_log(out: io.StringIO) -> None:
    logs.configure("info", "json", ["a", ""])
    logs.get_logger("x").info("x.y", text="a banana")
    assert lines(out)[0]["text"] == "a banana"


def test_an_exception_is_data_without_locals(out: io.StringIO) -> None:
    logs.configure("info", "json")
    try:
        failing("customer-address")
    except RuntimeError:
        logs.get_logger("x").exception("x.failed")
    (line,) = lines(out)
    (told,) = line["exception"]
    assert told["exc_type"] == "RuntimeError"
    assert told["frames"][-1]["name"] == "failing"
    assert all("locals" not in frame for frame in told["frames"])


def test_what_renders_badly_still_makes_a_line(out: io.StringIO) -> None:
    logs.configure("info", "json")
    endless: dict[str, Any] = {}
    endless["self"] = endless
    logs.get_logger("x").info(
        "x.y", endless=endless, broken=Broken(), raw=b"\xff", odd={(1, 2): {3}}, half="\ud800"
    )
    (line,) = lines(out)
    assert line["broken"] == "<Broken: ValueError>"
    assert line["odd"] == {"(1, 2)": [3]}


# ---- health


async def test_ready_asks_every_check_and_says_why_not() -> None:
    health = Health()

    async def slow_yes() -> bool:
        await asyncio.sleep(0)
        return True

    health.add("database", slow_yes)
    health.add("door", lambda: (False, "not bound"))
    health.add("channels", lambda: (False, {"uk": "closed"}), informational=True)
    health.add("leader", lambda: Verdict(ok=True, note="leads"))
    health.add("loop", lambda: False, live=True)
    ok, body = await health.ready()
    assert not ok
    assert body == {
        "ok": False,
        "checks": {
            "database": {"ok": True},
            "door": {"ok": False, "note": "not bound"},
            "channels": {"ok": False, "uk": "closed"},
            "leader": {"ok": True, "note": "leads"},
        },
    }
    health.add("door", lambda: True)
    assert (await health.ready())[0], "an informational check decides nothing"
    assert not (await health.live())[0]


async def test_a_check_that_breaks_or_hangs_is_a_no_without_its_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("syncd.telemetry.health.CHECK_TIMEOUT_S", 0.01)
    health = Health()

    def broken() -> bool:
        raise ValueError(CANARY)

    health.add("broken", broken)
    health.add("hangs", lambda: asyncio.Event().wait())
    ok, body = await asyncio.wait_for(health.ready(), CHECK_TIMEOUT_S + 5)
    assert not ok
    assert body["checks"]["broken"] == {"ok": False, "note": "ValueError"}
    assert body["checks"]["hangs"] == {"ok": False, "note": "no answer within 0.01 s"}
    assert CANARY not in json.dumps(body)


async def test_a_missed_beat_is_no_life() -> None:
    now = 100.0
    health = Health(clock=lambda: now)
    assert await health.live() == (True, {"ok": True, "checks": {}})
    health.beat("lane.uk", within_s=5)
    now = 105.0
    assert await health.live() == (True, {"ok": True, "checks": {"lane.uk": {"ok": True}}})
    now = 107.5
    ok, body = await health.live()
    assert (ok, body["ok"]) == (False, False)
    assert body["checks"]["lane.uk"] == {"ok": False, "note": "no beat, 2.5 s late"}
    assert health.late() == {"lane.uk": 2.5}
    health.forget("lane.uk")
    assert (await health.live())[0]


# ---- loop lag


def test_the_worst_of_the_last_samples_is_shown() -> None:
    metrics = Metrics()
    lag = LoopLag(metrics.event_loop_lag_seconds)
    shown = metrics.event_loop_lag_seconds._value.get
    lag.sample(0.3)
    lag.sample(-0.001)
    assert shown() == 0.3
    for _ in range(SAMPLES):
        lag.sample(0.01)
    assert shown() == 0.01
    assert lag.check() == Verdict(ok=True, data={"lag_seconds": 0.01})


def test_a_sampler_without_turns_is_unhealthy() -> None:
    now = 0.0
    lag = LoopLag(Metrics().event_loop_lag_seconds, clock=lambda: now, interval_s=0.5, limit_s=5)
    now = 5.4
    assert lag.healthy()
    now = 7.0
    assert not lag.healthy()
    assert lag.check() == Verdict(ok=False, note="no turn for 6.5 s")
    lag.sample(0.0)
    assert lag.healthy()


async def test_the_sampler_runs_and_stops() -> None:
    metrics, seen = Metrics(), asyncio.Event()
    lag = LoopLag(metrics.event_loop_lag_seconds, interval_s=0.001)
    taken = lag.sample

    def sample(lag_s: float) -> None:
        taken(lag_s)
        seen.set()

    lag.sample = sample  # type: ignore[method-assign]
    lag.start()
    lag.start()
    assert len([t for t in asyncio.all_tasks() if t.get_name() == "loop-lag"]) == 1
    await asyncio.wait_for(seen.wait(), 5)
    await lag.stop()
    await lag.stop()
    assert len(asyncio.all_tasks()) == 1


# ---- systemd


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """A service manager's socket; NOTIFY_SOCKET names it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(5)
        if request.param == "path":
            monkeypatch.chdir(tmp_path)
            listening.bind("n")
            monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
        else:
            listening.bind(f"\0syncd-test-{os.getpid()}")
            monkeypatch.setenv("NOTIFY_SOCKET", f"@syncd-test-{os.getpid()}")
        yield listening


def test_every_state_is_one_datagram(manager: socket.socket) -> None:
    told = [
        (notify.ready("3 channels"), b"READY=1\nSTATUS=3 channels"),
        (notify.ready(), b"READY=1"),
        (notify.stopping(), b"STOPPING=1"),
        (notify.status("two\nlines"), b"STATUS=two lines"),
        (notify.watchdog(), b"WATCHDOG=1"),
        (notify.extend_timeout(1.5), b"EXTEND_TIMEOUT_USEC=1500000"),
    ]
    for sent, datagram in told:
        assert sent
        assert manager.recv(4096) == datagram


def test_a_reload_says_when_in_the_same_datagram(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.monotonic_ns", lambda: 12_345_678_901)
    assert notify.reloading()
    assert manager.recv(4096) == b"RELOADING=1\nMONOTONIC_USEC=12345678"


@pytest.mark.parametrize("address", [None, "", "relative", "/none/such", "/" + "x" * 200, "/a\0b"])
def test_nobody_listening_is_no_failure(address: str | None) -> None:
    environ = {} if address is None else {"NOTIFY_SOCKET": address}
    assert not notify.ready(environ=environ)


@pytest.mark.parametrize(
    ("usec", "pid", "interval_s"),
    [
        ("60000000", None, 20.0),
        ("60000000", "ours", 20.0),
        ("60000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_the_watchdog_is_fed_three_times(
    usec: str | None, pid: str | None, interval_s: float | None
) -> None:
    environ = {"WATCHDOG_USEC": usec, "WATCHDOG_PID": pid}
    given = {name: _our_pid(text) for name, text in environ.items() if text is not None}
    assert notify.watchdog_interval_s(environ=given) == interval_s


def _our_pid(text: str) -> str:
    """Names of tests are the same in every process; what they are given need not be."""
    return str(os.getpid()) if text == "ours" else text


def test_sockets_handed_to_us_are_taken() -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        fd = os.dup(door.fileno())
        os.set_inheritable(fd, True)
        environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
        (found,) = notify.inherited_sockets(environ, first_fd=fd)
        with found:
            assert found.getsockname() == door.getsockname()
            assert not found.getblocking()
            assert not os.get_inheritable(found.fileno())


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
        {"LISTEN_PID": "ours", "LISTEN_FDS": "x"},
        {"LISTEN_PID": "ours", "LISTEN_FDS": "-1"},
    ],
)
def test_sockets_meant_for_others_are_left_alone(environ: dict[str, str]) -> None:
    given = {name: _our_pid(text) for name, text in environ.items()}
    assert notify.inherited_sockets(given) == []
