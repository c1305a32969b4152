"""How long channels may be silent: what the configuration says, and what it may not say."""

from __future__ import annotations

from datetime import timedelta

from syncd.config import ChannelSettings, Settings, SyncSettings

SWEEPS_UNHEARD = 3
"""With safe_mode = "auto" a channel is silent when so many sweeps of it told nothing."""


def safe_after(channel: ChannelSettings, sync: SyncSettings) -> timedelta | None:
    """How long nothing may be heard of a channel; None: nobody minds."""
    if channel.safe_mode == "off":
        return None
    return SWEEPS_UNHEARD * sync.sweep_every if channel.safe_mode == "auto" else channel.safe_mode


def too_impatient(settings: Settings) -> list[str]:
    """Channels that would be silent between two sweeps, since a quiet shop is heard of by those alone."""
    return [
        f"channels.{name}.safe_mode: must be longer than sync.sweep_every: a shop that sells nothing is "
        "heard of by its sweeps alone"
        for name, channel in settings.channels.items()
        if (patience := safe_after(channel, settings.sync)) is not None
        and patience <= settings.sync.sweep_every
    ]
