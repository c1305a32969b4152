"""Word to the service manager (the sd_notify protocol), and the sockets it hands us.

Without NOTIFY_SOCKET everything here does nothing.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping

FIRST_FD = 3
"""Inherited descriptors begin here (sd_listen_fds(3))."""

SEND_TIMEOUT_S = 1.0


class Notifier:
    """Sends state changes; a manager that does not listen never stops the daemon."""

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        *,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        environ = os.environ if environ is None else environ
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._watchdog_s = _watchdog_s(environ)
        self._clock_ns = clock_ns

    def watchdog_interval_s(self) -> float | None:
        """How often to call `watchdog`: a third of the limit; None where nobody watches."""
        return None if self._watchdog_s is None else self._watchdog_s / 3

    def ready(self, status: str = "") -> bool:
        """Started, or done with a reload."""
        return self._send("READY=1", *_status(status))

    def reloading(self) -> bool:
        """A reload begins. systemd 253+ wants the time in the same datagram (sd_notify(3))."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={self._clock_ns() // 1000}")

    def stopping(self, status: str = "") -> bool:
        return self._send("STOPPING=1", *_status(status))

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        return self._send(*_status(text or " "))

    def watchdog(self) -> bool:
        """Still turning; call it only after making sure."""
        return self._send("WATCHDOG=1")

    def extend_timeout(self, timeout_s: float) -> bool:
        """Starting or stopping takes this much longer, from now."""
        return self._send(f"EXTEND_TIMEOUT_USEC={int(timeout_s * 1_000_000)}")

    def _send(self, *lines: str) -> bool:
        """True if the manager was told."""
        if not self._address.startswith(("/", "@")):
            return False
        address = self._address
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


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        limit_us = int(environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return limit_us / 1_000_000 if limit_us > 0 else None


def inherited_sockets(
    environ: Mapping[str, str] | None = None, *, first_fd: int = FIRST_FD
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
