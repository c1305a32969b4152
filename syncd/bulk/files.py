"""Files of stock: opened in whatever encoding a spreadsheet left them, and written by the page."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, TextIO

from syncd.db import levels
from syncd.db.pool import Database
from syncd.errors import SyncdError
from syncd.stock.sheet import HEADER, encoding_of, row_out

HEAD = 4096
PAGE = 10_000


@contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """A file as text: UTF-8 and UTF-16 by their marks, else UTF-8 if all of it is, else Windows-1252.

    Raises SyncdError where it cannot be read.
    """
    try:
        with path.open("rb") as raw:
            encoding = encoding_of(raw.read(HEAD))
            if not encoding:
                raw.seek(0)
                encoding = "utf-8" if _is_utf8(raw) else "cp1252"
        # what Windows-1252 leaves undefined is told as a letter that was lost
        with path.open("r", encoding=encoding, errors="replace", newline="") as text:
            yield text
    except OSError as error:
        raise SyncdError(f"{path}: {error.strerror or error}") from error


def _is_utf8(raw: IO[bytes]) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while chunk := raw.read(1 << 16):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


async def export(
    db: Database, out: TextIO, warehouse: str | None, now: datetime, *, delimiter: str = ","
) -> int:
    """Write every level (of one warehouse) as CSV, a page at a time; gives how many rows."""
    stamp = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(HEADER)
    written, after = 0, ("", 0)
    while True:
        async with db.statement("export_page") as conn:
            page = await levels.level_page(conn, warehouse, after, PAGE)
        if not page:
            return written
        writer.writerows(row_out(r.sku, r.warehouse, r.quantity, stamp) for r in page)
        written += len(page)
        after = page[-1].sku, page[-1].warehouse_id
