"""What is wrong with a configuration, in words that name the full key and never quote a value."""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Path = tuple[str, ...]
"""A key as its segments: ("channels", "uk", "policy")."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_TABLE = "must be a table"
_LIST = "must be a list"
_TEXT = "must be text, in quotes"
_WHOLE = "must be a whole number"
_FLAG = "must be true or false"
_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not a known key",
    "model_type": _TABLE,
    "model_attributes_type": _TABLE,
    "dict_type": _TABLE,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "string_type": _TEXT,
    "path_type": _TEXT,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "bool_type": _FLAG,
    "bool_parsing": _FLAG,
}


@dataclass(frozen=True, slots=True)
class Complaint:
    """One problem of one key."""

    path: Path
    words: str

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.words}"


def dotted(path: Iterable[str]) -> str:
    """The key as TOML writes it: segments that are no bare keys stand in quotes."""
    return ".".join(part if _BARE.fullmatch(part) else f'"{_printable(part)}"' for part in path)


def _printable(part: str) -> str:
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in part)
    return clean if len(clean) <= 80 else clean[:80] + "…"


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint that ends a sentence; empty where nothing is near."""
    found = get_close_matches(word, list(known), n=1, cutoff=0.6)
    if not found:  # SHOP_NAME, shopName and shop-name all mean shop_name
        plain = {re.sub("[_-]", "", k).lower(): k for k in known}
        found = [k for p, k in plain.items() if p == re.sub("[_-]", "", word).lower()]
    return f'; did you mean "{found[0]}"?' if found else ""


def problems_of(
    error: ValidationError, prefix: str, model: type[BaseModel] | None = None
) -> list[str]:
    """One line for each problem, its key under `prefix`; `model` allows hints at known keys."""
    return [
        f"{prefix}.{complaint}" if complaint.path else f"{prefix}: {complaint.words}"
        for complaint in complaints_of(error, model)
    ]


def complaints_of(error: ValidationError, model: type[BaseModel] | None) -> list[Complaint]:
    """The problems of a validation, without the library's own detours; one for each key."""
    found: dict[Path, list[str]] = {}
    for detail in error.errors(include_url=False, include_input=False):
        path, known = _walk(detail["loc"], model)
        words = found.setdefault(path, [])
        if (text := _words_for(detail, path, known)) not in words:
            words.append(text)
    return [Complaint(path, "; or ".join(words)) for path, words in found.items()]


def _words_for(detail: ErrorDetails, path: Path, known: Iterable[str]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        hint = nearest(path[-1], known) if path else ""
        if not hint and len(path) > 3 and path[2] in {"items", "locations", "patterns"}:
            hint = "; a name with a dot in it needs quotes"
        return _WORDS[kind] + hint
    if kind in _WORDS:
        return _WORDS[kind]
    if kind in {"literal_error", "enum"}:
        return f"must be {context['expected']}".replace("'", '"')
    if kind == "value_error":
        return str(context["error"])
    message = detail["msg"]
    return message[:1].lower() + message[1:]


def _walk(loc: tuple[int | str, ...], model: Any) -> tuple[Path, tuple[str, ...]]:
    """The key of a problem without union tags, and the keys known in its table."""
    path: list[str] = []
    known: tuple[str, ...] = ()
    here: Any = model
    for step in loc:
        here, is_tag = _bare_type(here, step)
        # without a model a union's member is known by the brackets in its name only
        if is_tag or step == "[key]" or (model is None and "[" in str(step)):
            continue
        path.append(str(step))
        known = ()
        if isinstance(here, type) and issubclass(here, BaseModel):
            known = tuple(key for key in here.model_fields if key not in path[:-1])
            field = here.model_fields.get(str(step))
            here = field.annotation if field is not None else None
        elif get_origin(here) in {dict, Mapping}:
            here = get_args(here)[-1]
        elif get_origin(here) in {list, tuple}:
            here = get_args(here)[0]
        else:
            here = None
    return tuple(path), known


def _bare_type(here: Any, step: int | str) -> tuple[Any, bool]:
    """The type that `step` leads into, and whether `step` only names a member of a union."""
    while get_origin(here) is Annotated:
        here = get_args(here)[0]
    if get_origin(here) not in {Union, types.UnionType}:
        return here, False
    members = [m for m in get_args(here) if m is not type(None)]
    if len(members) == 1:
        return _bare_type(members[0], step)
    return None, True
