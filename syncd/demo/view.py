"""What a demo looks like: four panels in a terminal, one line every few seconds in a pipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from syncd.demo.driver import Driver, Sale
from syncd.demo.judge import percentile
from syncd.demo.standins.base import Standin

SALES_SHOWN = 40
BREAKER = {0.0: "closed", 1.0: "probing", 2.0: "open"}


@dataclass(slots=True)
class Scene:
    """All that there is to see. `gauges` holds the daemon's metrics by (name, channel)."""

    stores: Mapping[str, Standin]
    notes: Sequence[str]
    phase: str = "starting"
    driver: Driver | None = None
    gauges: dict[tuple[str, str], float] = field(default_factory=dict)
    elapsed_s: float = 0.0


def gauges_of(text: str) -> dict[tuple[str, str], float]:
    """The samples of a scrape that have no label or only `channel`, without `syncd_`."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.labels.keys() <= {"channel"}:
                name = sample.name.removeprefix("syncd_")
                found[name, sample.labels.get("channel", "")] = sample.value
    return found


def panels(scene: Scene) -> Layout:
    """The whole picture; fits 80 columns and 24 lines, and uses what there is more."""
    layout = Layout()
    layout.split_column(Layout(name="upper", ratio=3), Layout(name="lower", size=10))
    layout["upper"].split_row(
        Layout(Panel(_sales(scene), title="sale → shown by all others")),
        Layout(Panel(_shelves(scene), title="what the stores show")),
    )
    layout["lower"].split_row(
        Layout(Panel(_channels(scene), title="channels")),
        Layout(Panel(_totals(scene), title=f"{scene.phase} · {scene.elapsed_s:.0f} s")),
    )
    return layout


def _table(*columns: str) -> Table:
    table = Table(box=None, expand=True, padding=(0, 1, 0, 0), show_edge=False)
    for number, column in enumerate(columns):
        table.add_column(
            column,
            justify="left" if number == 0 else "right",
            no_wrap=True,
            ratio=1 if number == 0 else None,
        )
    return table


def _sales(scene: Scene) -> RenderableType:
    table = _table("sale", "units", "shown")
    if scene.driver is None:
        return table
    for sale in reversed(scene.driver.sales[-SALES_SHOWN:]):
        what = f"{sale.store[:5]} {next(iter(sale.lines))}"
        more = f" +{len(sale.lines) - 1}" if len(sale.lines) > 1 else ""
        table.add_row(what + more, str(sum(sale.lines.values())), _shown(sale))
    return table


def _shown(sale: Sale) -> Text:
    if sale.shown_s is None:
        return Text(f"{len(sale.waiting)} to go", "yellow")
    if not sale.measured:
        return Text("-", "dim")
    return Text(f"{sale.shown_s:.2f} s", "red" if sale.disturbed else "green")


def _shelves(scene: Scene) -> RenderableType:
    table = _table("item", *(name[:6] for name in scene.stores))
    if scene.driver is None:
        return table
    skus: dict[str, None] = {}
    for sale in reversed(scene.driver.sales[-SALES_SHOWN:]):
        skus.update(dict.fromkeys(sale.lines))
    for sku in skus:
        there = max(0, scene.driver.level[sku])
        cells = [
            Text(str(store.shelf(sku)), "green" if store.shelf(sku) == there else "bold red")
            for store in scene.stores.values()
        ]
        table.add_row(sku, *cells)
    return table


def _channels(scene: Scene) -> RenderableType:
    table = _table("", "budget", "owed", "risk", "breaker")
    for name in scene.stores:
        breaker = BREAKER.get(scene.gauges.get(("breaker_state", name), 0.0), "?")
        trouble = "" if scene.driver is None else scene.driver.active.get(name, "")
        table.add_row(
            Text((trouble or name)[:13], "red" if trouble else ""),
            _number(scene, "budget_available", name),
            _number(scene, "outbox_rows", name),
            _number(scene, "units_at_risk", name),
            Text(breaker, "" if breaker == "closed" else "red"),
        )
    return Group(table, *(Text(note, "dim", no_wrap=True) for note in scene.notes))


def _number(scene: Scene, name: str, channel: str) -> str:
    value = scene.gauges.get((name, channel))
    return "-" if value is None else f"{value:.0f}"


def _totals(scene: Scene) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    for name, value in totals(scene):
        table.add_row(Text(name, "dim"), value)
    return table


def totals(scene: Scene) -> list[tuple[str, str]]:
    """What has happened so far, in words; calm: no fault on the sale's way."""
    driver = scene.driver
    if driver is None:
        return []
    calm = driver.propagation_s(disturbed=False)
    every = driver.propagation_s()
    counts = driver.counts
    return [
        ("sales", f"{counts.sales}, {counts.units} units"),
        ("sold out", f"{counts.turned_away} turned away"),
        ("after", f"{counts.cancels} cancels, {counts.refunds} refunds"),
        ("edits", f"{counts.edits} counts typed"),
        ("shown", f"p50 {_seconds(every, 0.5)}, p99 {_seconds(every, 0.99)}"),
        ("calm", f"p50 {_seconds(calm, 0.5)}, p99 {_seconds(calm, 0.99)}"),
        ("owed", f"{driver.owed} sales not shown yet"),
        ("trouble", ", ".join(driver.active.values()) or f"{len(counts.troubles)} so far"),
    ]


def _seconds(values: Sequence[float], share: float) -> str:
    found = percentile(values, share)
    return "-" if found is None else f"{found:.2f} s"


def line(scene: Scene) -> str:
    """The picture in one line, for a pipe."""
    said = ", ".join(f"{name}: {value}".lstrip(": ") for name, value in totals(scene))
    return f"[{scene.elapsed_s:6.1f} s] {scene.phase}: {said}".rstrip(": ")


def report(result: Mapping[str, Any]) -> str:
    """The verdict for people."""
    bound = result["oversold_bound"]
    shown, calm = result["propagation"], result["propagation_undisturbed"]
    lines = [
        f"sales            {result['sales']} ({result['units']} units)",
        f"propagation      p50 {shown['p50_s']} s, p99 {shown['p99_s']} s over {shown['sales']} sales",
        f"  undisturbed    p50 {calm['p50_s']} s, p99 {calm['p99_s']} s over {calm['sales']} sales",
        f"lost             {result['lost']}",
        f"double           {result['double']}",
        f"oversold         {result['oversold']}, bound {bound['units']}",
        f"  bound          {bound['formula']}",
        f"  inputs         {', '.join(f'{k} {v}' for k, v in bound['inputs'].items())}",
        f"stores disagree  {result['disagree']} {', '.join(result['stores_disagreeing'])}".rstrip(),
        "good" if result["good"] else "NOT GOOD",
    ]
    lines[-1:-1] = [
        f"  {one['sku']}: {one['expected']} expected, shown {one['shelves']}"
        for one in result["differences"]
    ]
    return "\n".join(lines)
