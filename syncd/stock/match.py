"""Which item a listing is: what a person said, else what it was, else the channel's rules in their order.

Nothing is guessed: a name that two items bear links to neither, and a link once made stays, whatever
the listing is called later, unless its new name is another item's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Rule(StrEnum):
    """The names by which a channel's listings find their items."""

    SKU = "sku"
    BARCODE = "barcode"
    HANDLE = "handle"
    """The product's name in addresses, with the variant's options where it has several."""


BY_HAND = "hand"
"""A person linked it: no rule says otherwise."""

CUT = "cut"
"""A person unlinked it: no rule links it again."""

Names = Mapping[Rule, str]
"""What a listing is called, by each rule of its channel; empty where it has no such name."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a listing is and why. `skip`: why it is not served as far as links say; empty: it is."""

    item_id: int | None = None
    by: str = ""
    skip: str = ""


@dataclass(frozen=True, slots=True)
class Bearers:
    """The items that bear names, by rule and name."""

    items: Mapping[tuple[Rule, str], Sequence[int]] = field(default_factory=dict)

    def of(self, rule: Rule, names: Names) -> Sequence[int]:
        name = names.get(rule, "")
        return self.items.get((rule, name), ()) if name else ()


def judge(rules: Sequence[Rule], names: Names, bearers: Bearers, before: Link | None) -> Link:
    """What a listing is, by what it was `before` (None: it is new) and by what it is called now."""
    if before is not None and before.by == CUT:
        return Link(None, CUT, "unlinked")
    if before is not None and before.item_id is not None:
        return Link(before.item_id, before.by, _doubt(rules, names, bearers, before))
    if not any(names.get(rule) for rule in rules):
        return Link(skip="no_sku")
    for rule in rules:
        found = bearers.of(rule, names)
        if len(found) == 1:
            return Link(found[0], rule)
        if found:
            return Link(skip="ambiguous")
    return Link(skip="unlinked")


def _doubt(rules: Sequence[Rule], names: Names, bearers: Bearers, before: Link) -> str:
    """A listing that took the name of another item is in doubt: a slip of the pen moves no stock."""
    if before.by not in rules:
        return ""
    found = bearers.of(Rule(before.by), names)
    return "relinked" if found and before.item_id not in found else ""


def made_up(handle: str, channel: str, remote: str) -> str:
    """The sku of an item whose source gives it none: from its handle, else from the platform's id."""
    return f"~{handle or f'{channel}-{remote}'}"[:255]
