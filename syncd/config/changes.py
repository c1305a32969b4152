"""What differs between two configurations, and which of it a reload cannot take up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, SecretStr

from syncd.config.complaints import Path, dotted
from syncd.config.models import Settings

RESTART_KEYS = (
    ("database",),
    ("state_dir",),
    ("http", "listen"),
    ("http", "max_body"),
    ("http", "body_timeout"),
    ("ops", "listen"),
)
"""What is taken up once, when the process starts."""


@dataclass(frozen=True, slots=True)
class Change:
    """One key and how it reads before and after; secrets are never shown, `None` is absent."""

    key: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        if self.old is None:
            return f"+ {self.key} = {self.new}"
        if self.new is None:
            return f"- {self.key} = {self.old}"
        return f"~ {self.key}: {self.old} -> {self.new}"


@dataclass(frozen=True, slots=True)
class Diff:
    """The difference of two configurations. Names of channels, else full keys."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    warehouses: tuple[str, ...]
    """Warehouses added, removed or changed."""
    sync: tuple[str, ...]
    """Changed keys of `[sync]`."""
    needs_restart: tuple[str, ...]
    """Changed keys that only a new process takes up."""
    changes: tuple[Change, ...]
    """Every changed key, sorted."""

    def __bool__(self) -> bool:
        return bool(self.changes)


def diff(old: Settings, new: Settings) -> Diff:
    """What a reload from `old` to `new` would change."""
    before, after = _leaves(old), _leaves(new)
    paths = sorted(
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    )
    return Diff(
        added=tuple(sorted(new.channels.keys() - old.channels.keys())),
        removed=tuple(sorted(old.channels.keys() - new.channels.keys())),
        changed=tuple(
            sorted(
                name
                for name in old.channels.keys() & new.channels.keys()
                if old.channels[name] != new.channels[name]
            )
        ),
        warehouses=tuple(
            sorted(
                name
                for name in old.warehouses.keys() | new.warehouses.keys()
                if old.warehouses.get(name) != new.warehouses.get(name)
            )
        ),
        sync=tuple(dotted(path) for path in paths if path[0] == "sync"),
        needs_restart=tuple(
            dotted(path) for path in paths if any(path[: len(key)] == key for key in RESTART_KEYS)
        ),
        changes=tuple(
            Change(dotted(path), _shown(before, path), _shown(after, path)) for path in paths
        ),
    )


def _leaves(value: Any, path: Path = ()) -> dict[Path, Any]:
    """Every key with its value; an empty table is none."""
    if isinstance(value, BaseModel):
        value = {key: getattr(value, key) for key in type(value).model_fields}
    if not isinstance(value, Mapping):
        return {path: value}
    found: dict[Path, Any] = {}
    for key, inner in value.items():
        if inner is not None:
            found.update(_leaves(inner, (*path, str(key))))
    return found


def _shown(leaves: Mapping[Path, Any], path: Path) -> str | None:
    return _text(leaves[path]) if path in leaves else None


def _text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return "(secret)"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_text(inner) for inner in value)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key} = {_text(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    return str(value)
