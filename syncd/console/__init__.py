"""The operator's page and its API, hung on the ops listener."""

from __future__ import annotations

from syncd.console.access import Access, Role, Token
from syncd.console.api import Api
from syncd.console.upkeep import Upkeep

__all__ = ["Access", "Api", "Role", "Token", "Upkeep"]
