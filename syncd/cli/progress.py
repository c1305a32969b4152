"""How far long work is: one line that is written over in a terminal, nothing in a pipe."""

from __future__ import annotations

import sys
import time

WIDTH = 30
EVERY_S = 0.1


class Progress:
    """Call it with what is done and how much; `total` 0: nobody knows how much there is."""

    def __init__(self, total: int = 0) -> None:
        self.total = total
        self._shown = sys.stderr.isatty()
        self._drawn_s = 0.0
        self._width = 0

    def __call__(self, what: str, done: int) -> None:
        """So much of it is done now."""
        now_s = time.monotonic()
        if not self._shown or (now_s - self._drawn_s < EVERY_S and done != self.total):
            return
        self._drawn_s = now_s
        text = f"{what} {done:,}"
        if self.total:
            full = min(WIDTH, WIDTH * done // self.total)
            text = f"{what} [{'#' * full}{'.' * (WIDTH - full)}] {done:,} of {self.total:,}"
        sys.stderr.write(f"\r{text.ljust(self._width)}")
        sys.stderr.flush()
        self._width = len(text)

    def end(self) -> None:
        """Leave an empty line where the progress stood."""
        if self._shown and self._width:
            sys.stderr.write(f"\r{' ' * self._width}\r")
            sys.stderr.flush()
