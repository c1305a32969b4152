"""Word to the service manager (the sd_notify protocol), and the sockets it hands us.

Without NOTIFY_SOCKET everything here does nothing.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

FIRST_FD = 3
"""Inherited descriptors begin here (sd_listen_fds(3))."""

SEND_TIMEOUT_S = 1.0


Environ = Mapping[str, str]


def ready(status: str = "", *, environ: Environ | None = None) -> bool:
    """Started, or done with a reload. True if the manager was told; so for all of these."""
    return _send(environ, "READY=1", *_status(status))


def reloading(*, environ: Environ | None = None) -> bool:
    """A reload begins. systemd 253+ wants the time in the same datagram (sd_notify(3))."""
    return _send(environ, "RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def stopping(status: str = "", *, environ: Environ | None = None) -> bool:
    """The end begins."""
    return _send(environ, "STOPPING=1", *_status(status))


def status(text: str, *, environ: Environ | None = None) -> bool:
    """One line for `systemctl status`."""
    return _send(environ, *_status(text or " "))


def watchdog(*, environ: Environ | None = None) -> bool:
    """Still turning; call it only after making sure."""
    return _send(environ, "WATCHDOG=1")


def extend_timeout(timeout_s: float, *, environ: Environ | None = None) -> bool:
    """Starting or stopping takes this much longer, from now."""
    return _send(environ, f"EXTEND_TIMEOUT_USEC={int(timeout_s * 1_000_000)}")


def watchdog_interval_s(*, environ: Environ | None = None) -> float | None:
    """How often to call `watchdog`: a third of the limit; None where nobody watches."""
    environ = os.environ if environ is None else environ
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        limit_us = int(environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return limit_us / 3_000_000 if limit_us > 0 else None


def _send(environ: Environ | None, *lines: str) -> bool:
    """A manager that does not listen never stops the daemon."""
    address = (os.environ if environ is None else environ).get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.settimeout(SEND_TIMEOUT_S)
            sender.sendto("\n".join(lines).encode(), address)
    except (OSError, ValueError):
        # the manager's absence is its own business; the watchdog tells if it matters
        return False
    return True


def _status(text: str) -> list[str]:
    """A line break would begin another field."""
    return [f"STATUS={' '.join(text.splitlines())}"] if text else []


def inherited_sockets(
    environ: Environ | None = None, *, first_fd: int = FIRST_FD
) -> list[socket.socket]:
    """The listening sockets the service manager opened for us; empty where it opened none.

    They keep their queue while the daemon restarts. Each is closed on exec and non-blocking.
    Raises OSError where a handed descriptor is no socket.
    """
    environ = os.environ if environ is None else environ
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    try:
        count = int(environ.get("LISTEN_FDS", ""))
    except ValueError:
        return []
    found = []
    for fd in range(first_fd, first_fd + max(count, 0)):
        os.set_inheritable(fd, False)
        sock = socket.socket(fileno=fd)
        sock.setblocking(False)
        found.append(sock)
    return found
