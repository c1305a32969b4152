"""Named checks that answer two questions: does the process still turn, and may it be given work."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

CHECK_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found. `note` says why in a few words; `data` goes into the body as it is."""

    ok: bool
    note: str = ""
    data: dict[str, Any] = field(default_factory=dict)


Answer = Verdict | bool | tuple[bool, str] | tuple[bool, Mapping[str, Any]]
Check = Callable[[], Answer | Awaitable[Answer]]
"""Says whether, or whether and why; called or awaited. What it raises means no."""


@dataclass(frozen=True, slots=True)
class _Named:
    check: Check
    decides: bool


@dataclass(slots=True)
class _Beat:
    at_s: float
    within_s: float


class Health:
    """Collects checks and beats; `live` and `ready` ask them all at once, each for 2 s at most."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._live: dict[str, _Named] = {}
        self._ready: dict[str, _Named] = {}
        self._beats: dict[str, _Beat] = {}

    def add(
        self, name: str, check: Check, *, live: bool = False, informational: bool = False
    ) -> None:
        """Ask this check too: for `ready`, or for `live` where only a restart would help.

        The answer of an informational check is told and decides nothing.
        """
        (self._live if live else self._ready)[name] = _Named(check, decides=not informational)

    def beat(self, name: str, within_s: float) -> None:
        """A worker says that it turns, and when it will say so again at the latest."""
        self._beats[name] = _Beat(self._clock(), within_s)

    def forget(self, name: str) -> None:
        """Expect no more beats of a worker that ended on purpose."""
        self._beats.pop(name, None)

    def late(self) -> dict[str, float]:
        """Workers that missed their beat, and by how many seconds."""
        now = self._clock()
        return {
            name: now - beat.at_s - beat.within_s
            for name, beat in self._beats.items()
            if now - beat.at_s > beat.within_s
        }

    async def live(self) -> tuple[bool, dict[str, Any]]:
        """Whether the process still turns, and the body that says so."""
        ok, body = await _ask(self._live)
        for name, late_s in self.late().items():
            ok = False
            body["checks"][name] = {"ok": False, "note": f"no beat, {late_s:.1f} s late"}
        for name in self._beats.keys() - body["checks"].keys():
            body["checks"][name] = {"ok": True}
        return ok, {**body, "ok": ok}

    async def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether work may come, and the body that says why not."""
        return await _ask(self._ready)


async def _ask(named: dict[str, _Named]) -> tuple[bool, dict[str, Any]]:
    verdicts = await asyncio.gather(*(_verdict(one.check) for one in named.values()))
    checks: dict[str, Any] = {}
    ok = True
    for (name, one), verdict in zip(named.items(), verdicts, strict=True):
        ok = ok and (verdict.ok or not one.decides)
        checks[name] = {"ok": verdict.ok, **({"note": verdict.note} if verdict.note else {})}
        checks[name] |= verdict.data
    return ok, {"ok": ok, "checks": checks}


async def _verdict(check: Check) -> Verdict:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            found = check()
            answer = await found if inspect.isawaitable(found) else found
    except TimeoutError:
        return Verdict(ok=False, note=f"no answer within {CHECK_TIMEOUT_S:g} s")
    except Exception as error:  # noqa: BLE001 - whatever broke, the answer is no
        # the words of an error may hold an address or a secret; its kind does not
        return Verdict(ok=False, note=type(error).__name__)
    if isinstance(answer, Verdict):
        return answer
    if isinstance(answer, bool):
        return Verdict(answer)
    ok, said = answer
    return Verdict(ok, said) if isinstance(said, str) else Verdict(ok, data=dict(said))
