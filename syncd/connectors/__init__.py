"""Connectors speak to platforms: one file per platform, listed here by name and nowhere else."""

from __future__ import annotations

from syncd.connectors import api, memory, shopify, shopwired, woocommerce
from syncd.connectors.base import Platform

PLATFORMS: dict[str, Platform] = {
    "api": api.PLATFORM,
    "memory": memory.PLATFORM,
    "shopify": shopify.PLATFORM,
    "shopwired": shopwired.PLATFORM,
    "woocommerce": woocommerce.PLATFORM,
}

__all__ = ["PLATFORMS"]
