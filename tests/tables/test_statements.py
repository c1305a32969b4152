"""Every statement constant is prepared against the migrated schema, and fills what it says it fills."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re

import pytest

import syncd.db
from syncd.db.pool import Database

SQL = re.compile(r"^\s*(select|insert|update|delete|with|notify)\b", re.IGNORECASE)

MODULES = [
    importlib.import_module(f"syncd.db.{found.name}")
    for found in pkgutil.iter_modules(syncd.db.__path__)
    if found.name not in {"pool", "migrate", "embedded", "binaries"}
]

STATEMENTS = {
    f"{module.__name__.rsplit('.', 1)[1]}.{name}": value
    for module in MODULES
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str) and SQL.match(value)
}


@pytest.mark.parametrize("name", sorted(STATEMENTS))
async def test_statement_is_accepted_by_the_schema(database: Database, name: str) -> None:
    async with database.connection("prepare") as conn:
        if STATEMENTS[name].startswith("notify"):
            await conn.execute(STATEMENTS[name])
        else:
            await conn.prepare(STATEMENTS[name])


FILL = re.compile(r"\b([A-Z]\w+)\(\*(?:row\b|await )")
ASKED = re.compile(r"conn\.fetch(?:row)?\(\s*([A-Z_]+)\b")

FILLS = [
    pytest.param(getattr(module, fill), getattr(module, statement), id=f"{name}.{fill}")
    for module in MODULES
    for name, function in inspect.getmembers(module, inspect.iscoroutinefunction)
    if function.__module__ == module.__name__
    for source in [inspect.getsource(function)]
    for fill in dict.fromkeys(FILL.findall(source))
    for statement in ASKED.findall(source)
]


@pytest.mark.parametrize(("row", "statement"), FILLS)
async def test_columns_are_the_fields_they_fill(
    database: Database, row: type, statement: str
) -> None:
    async with database.connection("prepare") as conn:
        prepared = await conn.prepare(statement)
        columns = [attribute.name for attribute in prepared.get_attributes()]
    assert columns == [field.name for field in dataclasses.fields(row)]


def test_every_fill_was_found() -> None:
    written = sum(len(FILL.findall(inspect.getsource(module))) for module in MODULES)
    assert len(FILLS) == written
    assert len(STATEMENTS) >= 50
