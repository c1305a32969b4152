"""Connectors speak to platforms: one file per platform, listed here by name and nowhere else."""

from __future__ import annotations
