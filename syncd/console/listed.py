"""Every route of the API. A new one is listed here, and nowhere else."""

from __future__ import annotations

from syncd.console import (
    arranging,
    bundles,
    catalogue,
    counting,
    deciding,
    explaining,
    holds,
    looking,
    movements,
    orders,
    wishes,
)
from syncd.console.routes import Route

ROUTES: tuple[Route, ...] = (
    *catalogue.ROUTES,
    *bundles.ROUTES,
    *explaining.ROUTES,
    *holds.ROUTES,
    *looking.ROUTES,
    *wishes.ROUTES,
    *movements.ROUTES,
    *orders.ROUTES,
    *arranging.ROUTES,
    *counting.ROUTES,
    *deciding.ROUTES,
)
