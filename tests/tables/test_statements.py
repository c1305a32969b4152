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


FILLS = [
    (fill, statement)
    for module in MODULES
    for _, function in inspect.getmembers(module, inspect.iscoroutinefunction)
    if function.__module__ == module.__name__
    for fill, statement in re.findall(
        r"(\w+)\(\*row\).*?conn\.fetch(?:row)?\(\s*(\w+)", inspect.getsource(function), re.DOTALL
    )
    if dataclasses.is_dataclass(getattr(module, fill, None))
    for fill, statement in [(getattr(module, fill), getattr(module, statement))]
]


@pytest.mark.parametrize(("row", "statement"), FILLS, ids=[row.__name__ for row, _ in FILLS])
async def test_columns_fit_the_dataclass_they_fill(
    database: Database, row: type, statement: str
) -> None:
    async with database.connection("prepare") as conn:
        prepared = await conn.prepare(statement)
        columns = [attribute.name for attribute in prepared.get_attributes()]
    fields = [field.name for field in dataclasses.fields(row)]
    assert len(columns) == len(fields), (columns, fields)
    for column, field in zip(columns, fields, strict=True):
        assert column in {field, "?column?", "array", "bool", "exists", "coalesce", "min", "count"} or (
            column.rstrip("s") in field or field in column
        ), (columns, fields)


def test_fills_were_found() -> None:
    assert len(FILLS) >= 6
    assert len(STATEMENTS) >= 50
