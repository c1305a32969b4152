"""Finds the vendor's schemas and recordings, which are not part of this repository."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

_BESIDE = Path(__file__).parents[3] / "shared" / "specs"


def folder() -> Path:
    """The Shopify folder of the specs; skips where there is none, but fails in CI."""
    found = Path(os.environ.get("SYNCD_SPECS") or _BESIDE) / "shopify"
    if not found.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail("the vendor's specs are missing (SYNCD_SPECS)")
        pytest.skip("the vendor's specs are not at hand (SYNCD_SPECS)")
    return found


def recorded(name: str, absent: Any = None) -> Any:
    """A recording; `absent` is given instead where there are no specs and that is no error."""
    found = Path(os.environ.get("SYNCD_SPECS") or _BESIDE) / "shopify" / name
    if not found.is_file() and absent is not None and os.environ.get("CI") != "true":
        return {"cases": absent}
    return json.loads(found.read_text())
