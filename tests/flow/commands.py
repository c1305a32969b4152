"""Commands of the command line beside a town: each in a thread and loop of its own, as an operator's is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

from click.testing import CliRunner, Result

from syncd.cli import main
from tests.daemon.daemon import toml
from tests.flow.town import Town

GROUPS = {"bundles", "db", "config", "plan", "suspense", "channel", "webhooks"}


def plain(value: Any) -> Any:
    """A setting as it is written: sets as lists, what is not set left out."""
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items() if one is not None}
    if isinstance(value, set | frozenset | tuple | list):
        return [plain(one) for one in value]
    return value


class Operator:
    """Somebody at the command line of a town's database."""

    def __init__(
        self,
        town: Town,
        dsn: str,
        folder: Path,
        warehouses: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self._file = folder / "config.toml"
        self._town = town
        settings = {
            "database": {"dsn": dsn},
            "state_dir": str(folder),
            "http": {"public_url": "https://town.example"},
            "warehouses": {"main": {"source": next(iter(town.stores))}, **warehouses},
            "bundles": {sku: {"components": made} for sku, made in town.bundles.items()},
            "channels": {
                name: {
                    "platform": "memory",
                    "locations": {"*": "main"},
                    "options": store.options(),
                    **town.settings[name],
                }
                for name, store in town.stores.items()
            }
            | {
                name: {"platform": "api", "locations": {"*": "main"}, **channel}
                for name, channel in town.posting.items()
            },
        }
        text = "\n".join(f"{key} = {toml(plain(value))}" for key, value in settings.items()) + "\n"
        self._file.touch(mode=0o600)
        self._file.write_text(text)

    async def ask(self, *words: str) -> Result:
        """One command; gives exit status, output and complaints."""
        place = 2 if words[0] in GROUPS else 1
        said = [*words[:place], "--config", str(self._file), *words[place:]]
        with patch("syncd.app.desk.utc_now", self._town.clock):
            return await asyncio.to_thread(CliRunner().invoke, main, said, catch_exceptions=False)

    async def done(self, *words: str) -> str:
        """A command that has to succeed; gives its output."""
        result = await self.ask(*words)
        assert result.exit_code == 0, f"{words}: {result.output}"
        return result.stdout

    async def json(self, *words: str) -> Any:
        return json.loads(await self.done(*words, "--json"))

    async def json_any(self, *words: str) -> Any:
        """What a command says, whatever its exit status."""
        return json.loads((await self.ask(*words, "--json")).stdout)
