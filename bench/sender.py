"""One keep-alive connection to the door, as a platform that sends webhooks holds it."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol


class Run(Protocol):
    """Whoever sends, and is told what came of it."""

    def answered(self, sender: Sender, status: int, /) -> None: ...

    def lost(self) -> None:
        """A connection ended."""
        ...


class Sender(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.due_s = 0.0
        """When the request under way was due, by `time.perf_counter`."""
        self.got = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def send(self, payload: bytes, due_s: float) -> None:
        self.due_s = due_s
        self.transport.write(payload)

    def data_received(self, data: bytes) -> None:
        self.got += data
        head, found, rest = self.got.partition(b"\r\n\r\n")
        if not found:
            return
        if len(rest) >= body_length(head):
            self.got = b""
            self.run.answered(self, int(head[9:12]))

    def connection_lost(self, _: Exception | None) -> None:
        self.run.lost()


def body_length(head: bytes) -> int:
    """What the head of a message says of its body's bytes; 0 where it says nothing."""
    _, mark, length = head.lower().partition(b"\r\ncontent-length:")
    return int(length.split(b"\r\n", 1)[0]) if mark else 0
