"""The few ways in which things go wrong, named by what the catcher does about them."""

from __future__ import annotations


class SyncdError(Exception):
    """Base of every error syncd raises on purpose."""


class ConfigError(SyncdError):
    """A configuration that cannot be used; `problems` holds every reason at once."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class DatabaseAway(SyncdError):
    """The database cannot be reached now: nothing was stored, try again."""


class BadFact(SyncdError):
    """An event says something that cannot be true; it is parked with this reason."""


class Unsigned(SyncdError):
    """A webhook whose signature does not verify: answer 401 and store nothing."""


class ChannelError(SyncdError):
    """Base of what a connector may raise while it speaks."""


class RetryLater(ChannelError):
    """The platform could not answer now: try again after `after_s` seconds.

    `maybe_applied` says what may have happened to a write: False when it certainly was not
    applied (refused connection, throttled), True when nobody knows (time-out, lost answer, 5xx).
    `throttled` marks a rate limit: it consumes no try.
    """

    def __init__(
        self,
        reason: str,
        *,
        after_s: float | None = None,
        maybe_applied: bool = False,
        throttled: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after_s = after_s
        self.maybe_applied = maybe_applied
        self.throttled = throttled


class Refused(ChannelError):
    """The platform understood and said no: the same request will be refused again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ChannelClosed(ChannelError):
    """The whole channel cannot be used (credentials, frozen shop): stop it and say so."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Declined(SyncdError):
    """What a person asked for cannot be done as things are: nothing was changed, say every reason."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
