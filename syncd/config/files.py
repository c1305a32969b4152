"""Reads the TOML files of a configuration into one tree, and remembers where each key stands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from syncd.config.complaints import Path as KeyPath
from syncd.config.complaints import dotted

FILE_LIMIT_BYTES = 16 * 1024 * 1024
DEPTH_LIMIT = 64

_HEADER = re.compile(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_.\- \t]|"[^"\n]*"|'[^'\n]*')+?)\s*=""")


@dataclass(slots=True)
class Read:
    """The files as one tree. `problems` holds what keeps them from being read."""

    tree: dict[str, Any] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    owners: dict[KeyPath, str] = field(default_factory=dict)
    """The file that set a key first."""
    texts: dict[str, str] = field(default_factory=dict)
    _places: dict[KeyPath, str] | None = None

    def place(self, path: KeyPath) -> str:
        """Where this key stands, or the nearest table around it; empty where unknown."""
        if self._places is None:  # only a configuration with problems pays for this
            self._places = {}
            for label, text in self.texts.items():
                for key, line in _lines(text).items():
                    self._places.setdefault(key, f"{label} line {line}")
        for length in range(len(path), 0, -1):
            if found := self._places.get(path[:length]):
                return f" ({found})"
        return ""


def read_files(path: Path) -> Read:
    """The main file and `conf.d/*.toml` beside it, merged; a key set twice is a problem."""
    found = Read()
    _add(found, path, path.name)
    beside = path.parent / "conf.d"
    try:
        more = sorted(p for p in beside.glob("*.toml") if not p.name.startswith("."))
    except OSError as error:
        found.problems.append(f"conf.d: cannot be listed: {error.strerror}")
        more = []
    for extra in more:
        _add(found, extra, f"conf.d/{extra.name}")
    return found


def _add(found: Read, path: Path, label: str) -> None:
    found.files.append(label)
    text = _text(found, path, label)
    if text is None:
        return
    try:
        tree = tomllib.loads(text)
    except RecursionError:
        found.problems.append(f"{label}: tables are nested too deeply")
        return
    except tomllib.TOMLDecodeError as error:
        found.problems.append(f"{label}: {_syntax_words(str(error))}")
        return
    except ValueError:  # numbers of thousands of digits, dates that are none
        found.problems.append(f"{label}: a number or date cannot be read")
        return
    if _depth(tree) > DEPTH_LIMIT:
        found.problems.append(f"{label}: tables are nested too deeply")
        return
    found.texts[label] = text
    _merge(found, found.tree, tree, label, ())


def _text(found: Read, path: Path, label: str) -> str | None:
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_LIMIT_BYTES + 1)
        if len(raw) > FILE_LIMIT_BYTES:
            found.problems.append(f"{label}: larger than {FILE_LIMIT_BYTES} bytes")
            return None
        return raw.decode("utf-8-sig")
    except OSError as error:
        found.problems.append(f"{label}: cannot be read: {error.strerror or type(error).__name__}")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        found.problems.append(f"{label}: is not UTF-8 text (at line {line})")
    except ValueError:  # a NUL in the path
        found.problems.append(f"{label}: cannot be read: no such path")
    return None


def _syntax_words(message: str) -> str:
    """The parser's complaint without what it quotes: a slip may put a secret where a key goes."""
    what, _, where = message.rpartition(" (")
    what = re.sub(
        r"""\(.*\)|'[^']{3,}'|"[^"]{3,}\"""", "…", what or "Wrong syntax", flags=re.DOTALL
    )
    return f"{what[:1].lower()}{what[1:]} ({where.rstrip(')')})"


def _depth(tree: Any) -> int:
    """How deep tables and lists go, without recursion."""
    deepest, open_nodes = 0, [(tree, 1)]
    while open_nodes:
        node, depth = open_nodes.pop()
        deepest = max(deepest, depth)
        if depth > DEPTH_LIMIT:
            return depth
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        open_nodes += [(value, depth + 1) for value in inner]
    return deepest


def _merge(
    found: Read, here: dict[str, Any], new: Mapping[str, Any], label: str, at: KeyPath
) -> None:
    for key, value in new.items():
        path = (*at, key)
        if key not in here:
            here[key] = {} if isinstance(value, dict) else value
            found.owners[path] = label
        elif not (isinstance(value, dict) and isinstance(here[key], dict)):
            first = found.owners[path]
            found.problems.append(_twice(path, (here[key], first), (value, label)))
            continue
        if isinstance(value, dict):
            _merge(found, here[key], value, label, path)


def _twice(path: KeyPath, first: tuple[Any, str], second: tuple[Any, str]) -> str:
    """A key that two files set; where a location is offered to two warehouses, both are named."""
    offered = len(path) == 4 and path[0] == "channels" and path[2] == "locations"
    if offered and first[0] != second[0] and all(isinstance(x, str) for x, _ in (first, second)):
        names = " and ".join(f"{name[:63]!r} (in {label})" for name, label in (first, second))
        return f"{dotted(path)}: is offered to two warehouses, {names}: a location feeds one"
    return f"{dotted(path)}: is set twice, in {first[1]} and in {second[1]}"


def _lines(text: str) -> dict[KeyPath, int]:
    """The line of each table header and key. A key inside a multi-line text may be mistaken."""
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.fullmatch(line):
            table = _segments(header[1])
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault((*table, *_segments(key[1])), number)
    return lines


def _segments(written: str) -> KeyPath:
    """The segments of a key as written: `items."A.B"` gives two."""
    try:
        node: Any = tomllib.loads(f"{written}=0")
    except (ValueError, RecursionError):
        return ()
    path: list[str] = []
    while isinstance(node, dict) and node:
        key, node = next(iter(node.items()))
        path.append(key)
    return tuple(path)
