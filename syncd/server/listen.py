"""How both listeners start and stop: on inherited sockets where there are some, else on an address."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import NamedTuple

from aiohttp import web

BACKLOG = 1024
"""Connections the kernel keeps for us while a group is being stored or the daemon restarts."""


class Address(NamedTuple):
    """Where to listen; port 0 takes any free one."""

    host: str
    port: int


def address(text: str) -> Address:
    """Read "127.0.0.1:8080" or "[::1]:8080". Raises ValueError when it is neither."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{text!r} is not host:port")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r}: write an IPv6 address in brackets")
    return Address(host or "127.0.0.1", int(port))


async def listen(
    runner: web.BaseRunner, where: Address | None, sockets: Sequence[socket.socket]
) -> list[Address]:
    """Set the runner up and listen; gives the addresses bound, of inherited sockets too.

    Raises OSError when an address is taken; nothing stays open then.
    """
    await runner.setup()
    try:
        for inherited in sockets:
            await web.SockSite(runner, inherited, backlog=BACKLOG).start()
        if where is not None and not sockets:
            # reuse_address is the platform's default; reuse_port would hide a second daemon
            await web.TCPSite(runner, where.host, where.port, backlog=BACKLOG).start()
    except BaseException:
        await runner.cleanup()
        raise
    return [Address(bound[0], bound[1]) for bound in runner.addresses if isinstance(bound, tuple)]
