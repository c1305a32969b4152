"""A lane is one channel's loop: it reads what is looked for, claims what is owed, writes and settles."""

from __future__ import annotations

from syncd.lane.loop import Lane

__all__ = ["Lane"]
