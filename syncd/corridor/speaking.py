"""Every call to a connector: its breaker and its channel hear how it went."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from syncd.connectors.breaker import State
from syncd.corridor.core import Channel, Core
from syncd.db.journal import Line
from syncd.errors import ChannelClosed, Refused, RetryLater

T = TypeVar("T")

STATE_NUMBERS = {State.CLOSED: 0, State.HALF_OPEN: 1, State.OPEN: 2}


async def speak(core: Core, channel: Channel, call: Awaitable[T], *, hears: bool = True) -> T:
    """Await a connector's answer; what it raises passes on after the breaker was told.

    `hears`: False where the answer tells nothing of what the channel shows or sold.
    """
    try:
        answer = await call
    except RetryLater as error:
        if error.throttled:
            # an answer, and no fault of the channel's: it consumes nothing
            core.metrics.throttled_total.inc()
            channel.breaker.ok()
        else:
            channel.breaker.fail()
        _show(core, channel, error.reason)
        raise
    except ChannelClosed as error:
        channel.breaker.ok()
        core.close(channel, error.reason)
        raise
    except Refused:
        channel.breaker.ok()
        raise
    channel.breaker.ok()
    _show(core, channel)
    if hears:
        channel.heard_at = core.clock()
    return answer


def _show(core: Core, channel: Channel, reason: str = "") -> None:
    state = channel.breaker.state
    if not channel.closed:
        core.metrics.breaker_state.labels(channel.name).set(STATE_NUMBERS[state])
    if state is channel.broken or state is State.HALF_OPEN:
        return
    channel.broken = state
    if state is State.OPEN:
        core.note(Line("channel_stopped", "", channel.id, reason=f"no answers: {reason}"))
    else:
        core.note(Line("channel_resumed", "", channel.id, reason="it answers again"))
