"""What a channel shows of a level, as it is configured: for all of it, for patterns of skus, for one item."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

from syncd.config.values import Duration, Flag, Percent, Units, complaint

ZeroRule = Literal["show_zero", "retire", "keep_last"]
AllocationRule = Literal["shared", "buffered", "escrow"]

TABLE = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _filled(value: str) -> str:
    if not value.strip():
        raise complaint("must not be empty")
    return value


Filled = Annotated[str, AfterValidator(_filled)]


class PolicySettings(BaseModel):
    """How a channel shows its warehouses' levels; quantities in units."""

    model_config = TABLE

    buffer: Units = 0
    percent: Percent = 100
    cap: Units | None = None
    floor: Units = 0
    """Never shows less, whatever there is: made to order."""
    preorder: Units = 0
    """So many may be sold before they are there."""
    last_units: Units = 0
    """With fewer left, the other channels of the warehouse show none."""
    speed: Duration = timedelta()
    """Held back besides: what is sold in this time, at the speed of late."""
    announce_max: Units = 0
    """No more units are added to what a listing shows at once; the rest follows in steps. 0: no limit."""
    allocation: AllocationRule = "buffered"
    """shared: each channel shows all of it, without percent and buffers; escrow: its own account."""
    share: Percent | None = None
    """Percent of an item in escrow that are this channel's. None: as much as the others'."""
    zero: ZeroRule = "show_zero"
    exclude: tuple[Filled, ...] = ()
    """Sku patterns (`GIFT-*`) that are never delivered here; case counts."""
    exclude_tags: tuple[Filled, ...] = ()
    """Tags of the platform's products that are never delivered here; case does not count."""


class ItemPolicySettings(BaseModel):
    """What one item, or a pattern of skus, does differently; what is left out follows the channel."""

    model_config = TABLE

    buffer: Units | None = None
    percent: Percent | None = None
    cap: Units | None = None
    floor: Units | None = None
    preorder: Units | None = None
    last_units: Units | None = None
    speed: Duration | None = None
    announce_max: Units | None = None
    allocation: AllocationRule | None = None
    share: Percent | None = None
    zero: ZeroRule | None = None
    exclude: Flag | None = None
    """True: never delivered here. False: delivered although a wider rule excludes it."""

    def over(self, wider: PolicySettings) -> PolicySettings:
        """The wider policy bent by what is set here."""
        return wider.model_copy(update=self.model_dump(exclude_none=True, exclude={"exclude"}))


def pattern_of(sku: str, patterns: Iterable[str]) -> str | None:
    """The first pattern, in the order they are written, that a sku matches; case counts."""
    return next((pattern for pattern in patterns if fnmatchcase(sku, pattern)), None)
