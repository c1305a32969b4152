"""Connectors speak to platforms: one file per platform, listed here by name and nowhere else."""

from __future__ import annotations

from syncd.connectors import memory, shopify, shopwired, woocommerce
from syncd.connectors.base import Platform

PLATFORMS: dict[str, Platform] = {
    "memory": memory.PLATFORM,
    "shopify": shopify.PLATFORM,
    "shopwired": shopwired.PLATFORM,
    "woocommerce": woocommerce.PLATFORM,
}

__all__ = ["PLATFORMS"]
