"""How a WooCommerce shop sends webhooks: late, once, from a queue, built when they leave.

Observed on WooCommerce 10.7.0, 2026-11-22: changes to one object wait as one delivery, ids repeat
within a second, a slow listener delays all others, nothing is retried, and the sixth failure in a
row switches a webhook off without a word.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any

from syncd.demo.standins.base import Hook, Sender, SendPolicy

REAL_DELAY_S = 60.0
FAILURES_BEFORE_OFF = 5
"""One more than this in a row and the webhook is disabled."""


@dataclass(slots=True)
class Registration:
    """One row of /webhooks."""

    id: int
    name: str
    topic: str
    delivery_url: str
    secret: str
    created: datetime
    status: str = "active"
    modified: datetime | None = None
    failures: int = 0


class Queue(Sender):
    """The shop's background queue. `body` gives an object's newest state when a delivery leaves."""

    def __init__(
        self,
        body: Callable[[str, int], Any],
        source: Callable[[], str],
        clock: Callable[[], datetime],
        *,
        delay_s: float = REAL_DELAY_S,
        seed: int = 0,
    ) -> None:
        super().__init__(
            SendPolicy(
                retry_delays_s=(), ok=lambda status: 200 <= status <= 302, timeout_s=60, seed=seed
            )
        )
        self.hooks: dict[int, Registration] = {}
        self.delay_s = delay_s
        """From the first waiting change to the run that sends it; a shop takes about a minute."""
        self.ping_timeout_s = 5.0
        self._body = body
        self._source = source
        self._clock = clock
        self._random = Random(seed)
        self._waiting: deque[tuple[int, int]] = deque()
        self._runner: asyncio.Task[None] | None = None

    def happened(self, topic: str, object_id: int) -> None:
        """Queue one delivery per webhook of this topic, unless one for this object waits."""
        for hook in self.hooks.values():
            if hook.topic != topic or hook.status != "active":
                continue
            if (hook.id, object_id) not in self._waiting:
                self._waiting.append((hook.id, object_id))
        if self._waiting and (self._runner is None or self._runner.done()):
            self._runner = asyncio.ensure_future(self._run())

    async def ping(self, hook: Registration) -> bool:
        """The unsigned form that greets a new registration."""
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            async with asyncio.timeout(self.ping_timeout_s):
                return await self._post(
                    Hook(hook.delivery_url, form, f"webhook_id={hook.id}".encode())
                )
        except TimeoutError:
            return False

    async def idle(self) -> None:
        await super().idle()
        while self._runner is not None and not self._runner.done():
            await asyncio.gather(self._runner, return_exceptions=True)

    async def close(self) -> None:
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)
        await super().close()

    async def _run(self) -> None:
        """One listener after the other: whoever is slow holds up the rest."""
        while self._waiting:
            await asyncio.sleep(self.delay_s)
            for _ in range(len(self._waiting)):
                hook_id, object_id = self._waiting.popleft()
                if hook_id in self.hooks:
                    await self._leave(self.hooks[hook_id], object_id)

    async def _leave(self, hook: Registration, object_id: int) -> None:
        if self._random.random() < self.policy.drop:
            return
        if self.policy.delay_s[1]:
            await asyncio.sleep(self._random.uniform(*self.policy.delay_s))
        delivery = self._built(hook, object_id)
        if hook.failures:
            await self.ping(hook)
        twice = self._random.random() < self.policy.duplicate
        for _ in range(2 if twice else 1):
            if await self._post(delivery):
                self.acknowledged.append(delivery)
                hook.failures = 0
            else:
                self.given_up.append(delivery)
                hook.failures += 1
                hook.modified = self._clock()
                if hook.failures > FAILURES_BEFORE_OFF:
                    hook.status = "disabled"

    def _built(self, hook: Registration, object_id: int) -> Hook:
        resource, _, event = hook.topic.partition(".")
        said = {"id": object_id} if event == "deleted" else self._body(resource, object_id)
        body = php_json(said)
        second = int(self._clock().timestamp())
        mac = hmac.digest(hook.secret.encode(), body, "sha256")
        headers = {
            "User-Agent": "WooCommerce/10.7.0 Hookshot (WordPress/6.9.7)",
            "Content-Type": "application/json",
            "X-WC-Webhook-Source": self._source(),
            "X-WC-Webhook-Topic": hook.topic,
            "X-WC-Webhook-Resource": resource,
            "X-WC-Webhook-Event": event,
            "X-WC-Webhook-Signature": base64.b64encode(mac).decode(),
            "X-WC-Webhook-ID": str(hook.id),
            "X-WC-Webhook-Delivery-ID": hashlib.sha256(f"{hook.id}{second}".encode()).hexdigest()[
                :32
            ],
        }
        return Hook(hook.delivery_url, headers, body)


def php_json(value: Any) -> bytes:
    """JSON as PHP writes it: ASCII, no spaces, slashes escaped."""
    return json.dumps(value, separators=(",", ":")).replace("/", "\\/").encode()
