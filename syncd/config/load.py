"""Loads a configuration from files, credentials and environment, or says everything wrong with it.

Precedence: environment `SYNCD_…__…` over credentials named like keys over TOML.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource, SettingsError

from syncd.config.checks import cautions, contradictions
from syncd.config.complaints import complaints_of, dotted, nearest
from syncd.config.files import Read, read_files
from syncd.config.models import ChannelSettings, Settings
from syncd.config.secrets import SECRET_LIMIT_BYTES, Resolver, holds
from syncd.errors import ConfigError

ENV_PREFIX = "SYNCD_"
DELIMITER = "__"


class _Names(EnvSettingsSource):
    """Reads keys from names like CHANNELS__UK__DELIVER, wherever the names come from."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = {name.lower(): text for name, text in given.items()}
        super().__init__(
            Settings, case_sensitive=False, env_prefix="", env_nested_delimiter=DELIMITER
        )

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._given

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """Only what looks like a list or table is decoded: a secret of digits stays text."""
        if isinstance(value, str) and not value.lstrip().startswith(("[", "{")):
            raise ValueError
        return super().decode_complex_value(field_name, field, value)


def load(
    path: str | Path | None,
    environ: Mapping[str, str] | None = None,
    channel_problems: Callable[[str, ChannelSettings], list[str]] | None = None,
) -> Settings:
    """The configuration at `path` and beside it; None reads credentials and environment only.

    `environ` defaults to the process's own. `channel_problems` knows the platforms: where the
    configuration is refused, it is asked about each channel that is sound by itself. Raises ConfigError with every problem at once; no
    problem, warning or repr holds a secret.
    """
    environ = os.environ if environ is None else environ
    read = Read() if path is None else read_files(Path(path))
    problems = list(read.problems)
    from_credentials = _overlay(_credential_names(environ), read.tree, "credential ", problems)
    base = _over(read.tree, from_credentials)
    from_environ = _overlay(_environ_names(environ), base, ENV_PREFIX, problems)
    if read.problems:
        # half a tree would complain of what only the unread half explains
        raise ConfigError(problems)
    home = Path(path).absolute().parent if path is not None else Path.cwd()
    vouched = from_credentials if not from_environ else _without(from_credentials, from_environ)
    resolver = Resolver(environ.get("CREDENTIALS_DIRECTORY"), home, vouched)
    tree = resolver.resolve(_over(base, from_environ))
    _place_state_dir(tree, environ, home)
    complaints = [*resolver.complaints, *contradictions(tree)]
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        complaints += complaints_of(error, Settings)
    except (RecursionError, OverflowError):
        problems.append("the configuration is nested too deeply or holds numbers too large")
    for found in complaints:
        named = " (environment)" if holds(from_environ, found.path) else read.place(found.path)
        problems.append(f"{found}{named}")
    if channel_problems is not None and (problems or settings is None):
        problems += _also(tree, channel_problems)
    if problems or settings is None:
        raise ConfigError(list(dict.fromkeys(problems)))
    literal = [
        f"{dotted(found)}: a secret stands here in the open; name a credential or a file instead"
        for found in resolver.literals
    ]
    settings._warnings = (*literal, *cautions(settings))  # noqa: SLF001 - made here
    return settings


def _also(
    tree: Mapping[str, Any], channel_problems: Callable[[str, ChannelSettings], list[str]]
) -> list[str]:
    """What is wrong with single channels beside what is wrong with the whole."""
    found: list[str] = []
    channels = tree.get("channels")
    for name, raw in channels.items() if isinstance(channels, Mapping) else ():
        with suppress(ValidationError, RecursionError, OverflowError):
            found += channel_problems(str(name), ChannelSettings.model_validate(raw))
    return found


def _environ_names(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables that are keys: of a known section, or with a delimiter and so meant as a key."""
    found = {}
    for name, text in environ.items():
        if name.upper().startswith(ENV_PREFIX):
            key = name[len(ENV_PREFIX) :]
            if DELIMITER in key or key.lower() in Settings.model_fields:
                found[key] = text
    return found


def _credential_names(environ: Mapping[str, str]) -> dict[str, str]:
    """Credential files named like keys (`ops__token`); others are only read when named."""
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        return {}
    found = {}
    try:
        for path in sorted(Path(directory).iterdir()):
            section, delimiter, _ = path.name.lower().partition(DELIMITER)
            if delimiter and section in Settings.model_fields:
                with path.open("rb") as file:
                    raw = file.read(SECRET_LIMIT_BYTES)
                found[path.name] = raw.decode("utf-8").rstrip("\r\n")
    except (OSError, ValueError):
        # whoever needs one of them says so by its key
        return found
    return found


def _overlay(
    names: Mapping[str, str], under: Mapping[str, Any], origin: str, problems: list[str]
) -> dict[str, Any]:
    """What the names say, as a tree spelled like the one it goes over."""
    for name in names:
        section = name.split(DELIMITER)[0].lower()
        if section not in Settings.model_fields:
            hint = nearest(section, Settings.model_fields)
            problems.append(f"{origin}{name}: is not a known key{hint}")
    try:
        said = _Names(names)()
    except (SettingsError, ValueError, RecursionError, AttributeError, TypeError):
        problems.append(f"{origin.strip('_ ')}: a table or list is not written as JSON")
        return {}
    return _spelled(said, under)


def _spelled(said: Mapping[str, Any], under: Any) -> dict[str, Any]:
    """Names have no case: `UK` means the channel `uk`, or `Uk` where the files say so."""
    known = {key.lower(): key for key in under} if isinstance(under, Mapping) else {}
    tree: dict[str, Any] = {}
    for key, value in said.items():
        spelling = key if isinstance(under, Mapping) and key in under else known.get(key, key)
        inner = under.get(spelling) if isinstance(under, Mapping) else None
        tree[spelling] = _spelled(value, inner) if isinstance(value, Mapping) else value
    return tree


def _over(under: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Tables merge, anything else is replaced; `{ credential = … }` and the like count as one."""
    tree = dict(under)
    for key, value in upper.items():
        below = tree.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping) and not _is_reference(value):
            tree[key] = _over(below, value)
        else:
            tree[key] = value
    return tree


def _is_reference(value: Mapping[str, Any]) -> bool:
    return set(value) in ({"credential"}, {"file"})


def _without(tree: Mapping[str, Any], removed: Mapping[str, Any]) -> dict[str, Any]:
    """The part of `tree` that `removed` does not replace."""
    kept: dict[str, Any] = {}
    for key, value in tree.items():
        over = removed.get(key)
        if isinstance(value, Mapping) and isinstance(over, Mapping):
            kept[key] = _without(value, over)
        elif key not in removed:
            kept[key] = value
    return kept


def _place_state_dir(tree: dict[str, Any], environ: Mapping[str, str], home: Path) -> None:
    """The unit's StateDirectory= is the default; a relative path counts from the file."""
    written = tree.get("state_dir")
    if written is None and environ.get("STATE_DIRECTORY"):
        tree["state_dir"] = environ["STATE_DIRECTORY"].split(":")[0]
    elif isinstance(written, str) and written.strip():
        tree["state_dir"] = str(home / written)
    elif isinstance(written, str):
        tree["state_dir"] = None  # empty: refused as no path
