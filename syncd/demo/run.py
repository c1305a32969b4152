"""`syncd demo`: three stand-in stores, the real daemon on its private PostgreSQL, and a verdict.

Whatever happens, nothing it started outlives it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from rich.live import Live

from syncd.demo.driver import Driver, stock
from syncd.demo.judge import FORMULA, Delays, StoreEnd, Verdict, judge, percentile
from syncd.demo.process import POLL_S, Daemon, DemoFailed
from syncd.demo.standins.base import Standin
from syncd.demo.standins.shopify import ShopifyStandin
from syncd.demo.standins.shopwired import ShopWiredStandin
from syncd.demo.standins.woocommerce import WooCommerceStandin
from syncd.demo.view import Scene, gauges_of, line, panels, report

FAILED, USAGE = 1, 2
SOURCE = "shopify"
SWEEP_EVERY_S = 20
WEBHOOK_DELAY_S: Mapping[str, tuple[float, float]] = {
    "shopify": (0.1, 0.4),
    "shopwired": (0.1, 0.4),
}
WOO_QUEUE_S = 1.0
API_LATENCY_S: Mapping[str, float] = {"shopify": 0.08, "shopwired": 0.12, "woocommerce": 0.15}
OPTIONS: Mapping[str, Mapping[str, object]] = {"shopify": {"bulk_above": 0}}
"""A page of a hundred variants spends about 500 points of the 100 a second: too much for a sweep so
often. A bulk reading spends none."""

NOTES = (
    f"woocommerce queue {WOO_QUEUE_S:.0f} s (real: 60)",
    f"sweeps every {SWEEP_EVERY_S} s (default 15 m)",
)
SEED_S = 120.0
SETTLE_S = 150.0
"""A blind write whose answer was lost when calls hang: 30 s time-out, 30 s late window, and a sweep."""
STEADY_S = 2.0
SCRAPE_S = 0.5
FRAMES_PER_S = 8
LINE_EVERY_S = 2.0


def _make_stores(seed: int) -> dict[str, Standin]:
    stores: dict[str, Standin] = {
        "shopify": ShopifyStandin("demo", seed=seed),
        "shopwired": ShopWiredStandin(restocks="cancelled", seed=seed),
        "woocommerce": WooCommerceStandin(delay_s=WOO_QUEUE_S, seed=seed),
    }
    for name, store in stores.items():
        store.faults.latency_s = API_LATENCY_S[name]
        store.sender.policy.delay_s = WEBHOOK_DELAY_S.get(name, (0.0, 0.0))
    return stores


def _configuration(stores: Mapping[str, Standin]) -> dict[str, dict[str, object]]:
    """What an operator would write for these stores."""
    tables: dict[str, dict[str, object]] = {
        "sync": {"sweep_every": f"{SWEEP_EVERY_S}s", "drain_timeout": "5s"},
        "warehouses.main": {"source": SOURCE},
    }
    for name, store in stores.items():
        edits = "adopt" if name == SOURCE else "overwrite"
        tables[f"channels.{name}"] = {"platform": store.platform, "edits": edits}
        tables[f"channels.{name}.locations"] = {"*": "main"}
        tables[f"channels.{name}.options"] = {**store.options(), **OPTIONS.get(name, {})}
    return tables


class Demo:
    """One run, from empty shops to the verdict."""

    def __init__(
        self, daemon: Daemon, stores: Mapping[str, Standin], *, rate: float, items: int, seed: int
    ) -> None:
        self.daemon = daemon
        self.stores = stores
        self.scene = Scene(stores, NOTES)
        self.enough = asyncio.Event()
        self._seeds = stock(items, Random(f"{seed} stock"))
        self._driver = Driver(
            stores,
            self._seeds,
            adopting=SOURCE,
            rate=rate,
            seed=seed,
            crash=daemon.crash,
        )

    async def play(self, duration_s: float | None) -> dict[str, Any]:
        """Open the shops, let them sell, let syncd come to rest, and judge."""
        for name, store in self.stores.items():
            await store.start()
            for sku, units in self._seeds.items():
                # the others are as wrong as shops are before they are linked
                store.add(sku, units if name == SOURCE else units // 2)
        self.daemon.configure(_configuration(self.stores))
        await self.daemon.start()
        scraping = asyncio.create_task(self._scrape())
        try:
            await self._seed()
            self.scene.driver = self._driver
            self.scene.phase = "selling"
            watching = asyncio.create_task(self._driver.watch())
            try:
                await self._driver.run(duration_s, self.enough)
                self.scene.phase = "settling"
                settled_s = await self._settle()
            finally:
                await _end(watching)
        finally:
            await _end(scraping)
        return self._result(settled_s)

    async def _scrape(self) -> None:
        began = time.monotonic()
        while True:
            text = await self.daemon.metrics()
            if text is not None:
                self.scene.gauges = gauges_of(text)
            self.scene.elapsed_s = time.monotonic() - began
            await asyncio.sleep(SCRAPE_S)

    async def _seed(self) -> None:
        """First counts from the source, webhooks everywhere, and every store equal."""
        self.scene.phase = "seeding"
        await self.daemon.ask("seed", "--apply")
        await self._until(self._swept_since(0.0), SEED_S, "the first sweeps did not end")
        await self._until(
            lambda: self._driver.disagreeing() == 0, SEED_S, "the stores did not become equal"
        )

    async def _settle(self) -> float | None:
        """Wait until the stores agree with the books and stay so; gives the seconds, None: never."""
        began, asked = time.monotonic(), time.time()
        await self.daemon.ensure()
        await self.daemon.ask("sweep")
        swept = self._swept_since(asked)
        equal_since: float | None = None
        while time.monotonic() - began < SETTLE_S:
            now = time.monotonic()
            if self._driver.disagreeing() or not swept():
                equal_since = None
            else:
                equal_since = equal_since or now
                if now - equal_since >= STEADY_S:
                    return equal_since - began
            await asyncio.sleep(POLL_S)
        return None

    def _swept_since(self, when: float) -> Callable[[], bool]:
        name = "sweep_last_success_timestamp_seconds"
        return lambda: all(self.scene.gauges.get((name, c), 0.0) > when for c in self.stores)

    async def _until(self, true: Callable[[], bool], timeout_s: float, problem: str) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while not true():
                    await self.daemon.ensure()
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise DemoFailed(f"{problem} within {timeout_s:.0f} s") from None

    def _result(self, settled_s: float | None) -> dict[str, Any]:
        driver = self._driver
        driver.look()
        delays = self._delays()
        ends = {
            name: StoreEnd(store.book.moves, store.shelves(), adopts_edits=name == SOURCE)
            for name, store in self.stores.items()
        }
        verdict = judge(self._seeds, ends, driver.shown_s(), delays)
        counts = asdict(driver.counts)
        return {
            "good": verdict.good,
            "sales": counts.pop("sales"),
            "propagation": _summary(driver.propagation_s()),
            "propagation_undisturbed": _summary(driver.propagation_s(disturbed=False)),
            **_told(verdict, delays),
            "settled_s": None if settled_s is None else round(settled_s, 1),
            **counts,
            "differences": [asdict(one) for one in verdict.differences],
        }

    def _delays(self) -> Delays:
        webhook_s = max(WOO_QUEUE_S, *(high for _, high in WEBHOOK_DELAY_S.values()))
        platform_s = max(API_LATENCY_S.values())
        way_s = percentile(self._driver.propagation_s(disturbed=False), 0.99) or 0.0
        return Delays(webhook_s, max(0.0, way_s - webhook_s - platform_s), platform_s)


def _told(verdict: Verdict, delays: Delays) -> dict[str, Any]:
    return {
        "lost": verdict.lost,
        "double": verdict.double,
        "oversold": verdict.oversold,
        "oversold_bound": {
            "units": verdict.oversold_bound,
            "beyond": verdict.oversold_beyond_bound,
            "formula": FORMULA,
            "inputs": {
                "webhook_delay_s": round(delays.webhook_s, 3),
                "write_delay_s": round(delays.write_s, 3),
                "platform_delay_s": round(delays.platform_s, 3),
                "smallest_buffer": 0,
            },
        },
        "disagree": verdict.disagree,
        "stores_disagreeing": list(verdict.disagreeing),
    }


def _summary(seconds: list[float]) -> dict[str, Any]:
    p50, p99 = percentile(seconds, 0.5), percentile(seconds, 0.99)
    return {
        "sales": len(seconds),
        "p50_s": None if p50 is None else round(p50, 3),
        "p99_s": None if p99 is None else round(p99, 3),
    }


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel what runs for ever; raises what it died of before."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    if not task.cancelled():
        task.result()


@asynccontextmanager
async def _shown(demo: Demo, console: Console, *, quiet: bool) -> AsyncIterator[None]:
    """Draw the scene while inside: panels in a terminal, lines in a pipe, nothing when quiet."""
    if quiet:
        yield
        return

    async def draw() -> None:
        if console.is_terminal:
            with Live(panels(demo.scene), console=console, screen=True, auto_refresh=False) as live:
                while True:
                    live.update(panels(demo.scene), refresh=True)
                    await asyncio.sleep(1 / FRAMES_PER_S)
        while True:
            console.print(line(demo.scene), markup=False, highlight=False, soft_wrap=True)
            await asyncio.sleep(LINE_EVERY_S)

    drawing = asyncio.create_task(draw())
    try:
        yield
    finally:
        await _end(drawing)


def _catch_signals(demo: Demo, playing: asyncio.Task[Any]) -> None:
    """The first Ctrl-C ends the sales and asks for the verdict; a second one, or SIGTERM, ends all."""

    def interrupted() -> None:
        if demo.scene.phase == "selling" and not demo.enough.is_set():
            demo.enough.set()
        else:
            playing.cancel()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, interrupted)
    loop.add_signal_handler(signal.SIGTERM, playing.cancel)


def _make_places() -> tuple[Path, Path]:
    """A temporary folder, and beside it a file for the daemon's log, which outlives a failure."""
    folder = Path(tempfile.mkdtemp(prefix="syncd-demo-"))
    if os.geteuid() == 0:
        folder.chmod(0o711)  # PostgreSQL runs under another account then, and must get through
    log = folder.with_suffix(".log")
    log.touch(mode=0o600)
    return folder, log


async def run_demo(
    *, duration_s: float | None, rate: float, items: int, random_seed: int, as_json: bool
) -> int:
    """Play the demo; gives the exit code: 0 all good, 1 not good or not played to its end, 2 usage.

    `duration_s` None: until Ctrl-C. `rate`: sales a second over all stores. With `as_json` stdout
    gets one object and nothing else.
    """
    if not (rate > 0 and items >= 1 and (duration_s is None or duration_s > 0)):
        print("duration, rate and items must be above 0", file=sys.stderr)  # noqa: T201 - a command
        return USAGE
    folder, log = _make_places()
    try:
        result = await _played(folder, log, duration_s, rate, items, random_seed, as_json)
    except (DemoFailed, asyncio.CancelledError) as error:
        said = str(error) or "interrupted"
        print(f"{said}; the daemon's log is {log}", file=sys.stderr)  # noqa: T201 - a command
        return FAILED
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result) if as_json else report(result))  # noqa: T201 - the command's answer
    if result["good"]:
        log.unlink(missing_ok=True)
        return os.EX_OK
    print(f"the daemon's log is {log}", file=sys.stderr)  # noqa: T201 - a command
    return FAILED


async def _played(
    folder: Path,
    log: Path,
    duration_s: float | None,
    rate: float,
    items: int,
    seed: int,
    as_json: bool,
) -> dict[str, Any]:
    stores = _make_stores(seed)
    daemon = Daemon(folder, log)
    demo = Demo(daemon, stores, rate=rate, items=items, seed=seed)
    playing = asyncio.create_task(demo.play(duration_s))
    _catch_signals(demo, playing)
    try:
        async with _shown(demo, Console(), quiet=as_json):
            return await playing
    finally:
        await daemon.stop()
        for store in stores.values():
            await store.stop()
