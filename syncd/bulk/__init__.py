"""What people ask for, many counts or listings at once: seeds, files of counts, plans, pushes."""

from __future__ import annotations

from syncd.bulk.wishes import Bulk

__all__ = ["Bulk"]
