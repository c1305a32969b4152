"""Why: every number of an item, from its first count to what each listing shows, now or at a past instant.

It reads what the walkers wrote and derives by the same rules; it changes nothing and locks nothing.
"""

from __future__ import annotations

from syncd.explain.shapes import Explanation
from syncd.explain.telling import explain

__all__ = ["Explanation", "explain"]
