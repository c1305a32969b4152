"""What must hold between channels that sell an item from accounts of their own: all do, and shares sum.

Works on the raw tree, like `checks`; what is no table or no number is left to the single keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from syncd.config.complaints import Complaint, Path
from syncd.config.policies import pattern_of
from syncd.config.policy_checks import at, table

Tree = Mapping[str, Any]
POLICY: Path = ("policy",)


def escrow_contradictions(tree: Tree) -> Iterator[Complaint]:
    """Every problem of items in escrow, warehouse by warehouse."""
    told: dict[Path, Complaint] = {}
    channels = {
        name: channel
        for name, channel in table(tree, "channels").items()
        if isinstance(channel, Mapping) and _sells(channel)
    }
    for warehouse in table(tree, "warehouses"):
        names = [n for n, c in channels.items() if warehouse in table(c, "locations").values()]
        for layer in _layers([channels[name] for name in names]):
            for found in _wrong(warehouse, {n: channels[n] for n in names}, layer):
                told.setdefault(found.path, found)
    yield from told.values()


def _sells(channel: Tree) -> bool:
    """False where nothing is shown: who posts movements, or is delivered nothing."""
    off = any(channel.get(key) is False for key in ("enabled", "deliver"))
    return not off and channel.get("platform") != "api"


def _layers(channels: Sequence[Tree]) -> list[Path]:
    """What may be ruled in its own way: everything, and each item and pattern that is named."""
    keys = [key for c in channels for kind in ("patterns", "items") for key in table(c, kind)]
    return [POLICY, *(("items", key) for key in dict.fromkeys(keys))]


def _wrong(warehouse: str, channels: Mapping[str, Tree], layer: Path) -> Iterator[Complaint]:
    modes = {name: _said(channel, layer, "allocation") for name, channel in channels.items()}
    inside = [name for name, (mode, _) in modes.items() if mode == "escrow"]
    if not inside:
        return
    for name, (mode, where) in modes.items():
        if mode != "escrow":
            words = (
                f'must be "escrow", as {inside[0]} says, which shares {warehouse}: a channel that shows'
                " all of an item sells what is on the others' accounts"
            )
            yield Complaint(("channels", name, *where, "allocation"), words)
    shares = {name: _said(channels[name], layer, "share") for name in inside}
    given = {name: n for name, (n, _) in shares.items() if isinstance(n, int)}
    if not given:
        return
    for name, (share, where) in shares.items():
        if share is None:
            words = (
                f"is missing: {', '.join(given)} of {warehouse} has one, so each channel needs one"
            )
            yield Complaint(("channels", name, *where, "share"), words)
    if len(given) == len(shares) and sum(given.values()) != 100:
        first = inside[0]
        parts = " + ".join(f"{name} {n}" for name, n in given.items())
        words = f"the shares of {warehouse} must make 100, and make {sum(given.values())}: {parts}"
        yield Complaint(("channels", first, *shares[first][1], "share"), words)


def _said(channel: Tree, layer: Path, key: str) -> tuple[Any, Path]:
    """What holds in a layer, and the layer that says it; the channel's policy where none does."""
    layers = [layer] if layer != POLICY else []
    if layer[0] == "items":
        pattern = pattern_of(layer[1], table(channel, "patterns"))
        layers += [("patterns", pattern)] if pattern is not None else []
    for where in [*layers, POLICY]:
        value = at(channel, where).get(key)
        if value is not None:
            return value, where
    return None, POLICY
