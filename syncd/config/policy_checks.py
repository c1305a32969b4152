"""What must hold between the rules of policies: limits that leave room, last units that go to one channel.

Works on the raw tree, like `checks`; what is no table or no number is left to the single keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from syncd.config.complaints import Complaint, Path
from syncd.config.policies import pattern_of

Tree = Mapping[str, Any]


def policy_contradictions(tree: Tree) -> Iterator[Complaint]:
    """Every problem between the keys of policies, items and patterns."""
    channels = {
        name: channel for name, channel in table(tree, "channels").items() if _is_table(channel)
    }
    for name, channel in channels.items():
        yield from _room(name, channel)
        for pattern in table(channel, "patterns"):
            if pattern.strip() and not set(pattern) & set("*?["):
                path = ("channels", name, "patterns", pattern)
                yield Complaint(path, "matches one sku alone, so it belongs under items")
    told: dict[Path, Complaint] = {}
    for one, other in combinations(filter(lambda name: _claims(channels[name]), channels), 2):
        if _meet(channels[one], channels[other]):
            for found in _claimed_twice(one, other, channels):
                told.setdefault(found.path, found)
    yield from told.values()


def _room(name: str, channel: Tree) -> Iterator[Complaint]:
    """Where a floor or pre-orders are above the cap, and the narrowest rule says one of them."""
    layers: list[Path] = [("policy",)]
    layers += [(kind, key) for kind in ("patterns", "items") for key in table(channel, kind)]
    for layer in layers:
        own = at(channel, layer)
        cap = _effective(channel, layer, "cap")[0]
        for key in ("floor", "preorder"):
            found = _effective(channel, layer, key)[0]
            if cap is None or found is None or found <= cap or not {key, "cap"} & own.keys():
                continue
            said = key if key in own else "cap"
            words = "is above the cap" if said == key else f"is below the {key}"
            yield Complaint(("channels", name, *layer, said), f"{words} that holds here")


def _claimed_twice(one: str, other: str, channels: Mapping[str, Tree]) -> Iterator[Complaint]:
    keys = [
        key
        for kind in ("patterns", "items")
        for name in (one, other)
        for key in table(channels[name], kind)
    ]
    layers: list[Path] = [("policy",), *(("items", key) for key in dict.fromkeys(keys))]
    for layer in layers:
        (first, _), (second, where) = (
            _effective(channels[name], layer, "last_units") for name in (one, other)
        )
        if first and second:
            words = f"the last units are {one}'s already, which shares a warehouse with {other}"
            yield Complaint(("channels", other, *where, "last_units"), words)


def _claims(channel: Tree) -> bool:
    """True where any rule of a channel asks for last units."""
    tables = [table(channel, kind) for kind in ("patterns", "items")]
    rules = [table(channel, "policy"), *(table(found, key) for found in tables for key in found)]
    return any("last_units" in rule for rule in rules)


def _meet(one: Tree, other: Tree) -> bool:
    """True where two channels that deliver share a warehouse."""
    if any(c.get(key) is False for c in (one, other) for key in ("enabled", "deliver")):
        return False
    places = [
        {to for to in table(c, "locations").values() if isinstance(to, str)} for c in (one, other)
    ]
    return bool(places[0] & places[1])


def _effective(channel: Tree, layer: Path, key: str) -> tuple[int | None, Path]:
    """The number that holds in a layer, and the layer that says it."""
    layers = [layer] if layer != ("policy",) else []
    if layer[0] == "items":
        pattern = pattern_of(layer[1], table(channel, "patterns"))
        layers += [("patterns", pattern)] if pattern is not None else []
    for where in [*layers, ("policy",)]:
        value = at(channel, where).get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return value, where
    return None, ("policy",)


def at(channel: Tree, layer: Path) -> Tree:
    """The table of a layer; an empty one where there is none."""
    found: Tree = channel
    for key in layer:
        found = table(found, key)
    return found


def _is_table(node: Any) -> bool:
    return isinstance(node, Mapping)


def table(node: Any, key: str) -> Tree:
    """The table under a key; an empty one where there is none."""
    inner = node.get(key) if isinstance(node, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}
