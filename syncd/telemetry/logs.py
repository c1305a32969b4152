"""Log lines as JSON on stdout, ours and the libraries' alike, with every secret taken out last.

Events have stable dotted names (`lane.parked`); what varies is fields: channel, event_id, delivery,
sku.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, Literal, cast
from urllib.parse import quote

import structlog
from structlog.contextvars import bound_contextvars as context
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor, WrappedLogger

HIDDEN = "[hidden]"
SHORTEST_SECRET = 4
"""Shorter ones would blot out ordinary words; no platform issues them."""

DEPTH_LIMIT = 8

_SECRET_KEY = re.compile(
    r"token|secret|passw|passphrase|authorization|cookie|credential|hmac|signature|dsn"
    r"|(api|access|consumer|private)_?key",
    re.IGNORECASE,
)


class Redactor:
    """Takes registered secrets out of any text, and whatever stands under a telling key."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def hide(self, secrets: Iterable[str]) -> None:
        """Hide these too, in the forms they take in addresses and JSON. None is ever forgotten."""
        for secret in secrets:
            if len(secret) >= SHORTEST_SECRET:
                in_json = json.dumps(secret)[1:-1]
                self._secrets |= {secret, quote(secret, safe=""), quote(secret), in_json}
        longest_first = sorted(self._secrets, key=len, reverse=True)
        self._pattern = (
            re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        )

    def text(self, text: str) -> str:
        """The text with every registered secret replaced."""
        return self._pattern.sub(HIDDEN, text) if self._pattern is not None else text

    def clean(self, value: Any, depth: int = 0) -> Any:
        """The value as plain data that renders without calling anything of ours."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return self.text(value)
        if depth < DEPTH_LIMIT and isinstance(value, Mapping):
            return {
                self.text(str(key)): (
                    HIDDEN if _SECRET_KEY.search(str(key)) else self.clean(inner, depth + 1)
                )
                for key, inner in value.items()
            }
        if depth < DEPTH_LIMIT and isinstance(value, list | tuple | set | frozenset):
            return [self.clean(inner, depth + 1) for inner in value]
        try:
            return self.text(str(value))
        except Exception as error:  # noqa: BLE001 - a line must never be lost to a broken __str__
            return f"<{type(value).__name__}: {type(error).__name__}>"

    def __call__(
        self, logger: WrappedLogger, method: str, event_dict: EventDict
    ) -> MutableMapping[str, Any]:
        """The last processor before the renderer."""
        del logger, method
        return cast("MutableMapping[str, Any]", self.clean(event_dict))


_redactor = Redactor()
_handler: logging.Handler | None = None


def _foreign_event(logger: WrappedLogger, method: str, event_dict: EventDict) -> EventDict:
    """A library's free text becomes a field, its logger's name the event."""
    del logger, method
    record = event_dict.get("_record")
    name = record.name if isinstance(record, logging.LogRecord) else "library"
    event_dict["message"] = event_dict.get("event")
    event_dict["event"] = f"log.{name}"
    return event_dict


def configure(
    level: str = "info",
    format: Literal["json", "console"] = "json",  # noqa: A002 - the key's name
    secrets: Iterable[str] = (),
) -> None:
    """Send all logging to stdout in this form; call again to change it while running.

    `secrets` are hidden from now on, and those of earlier calls stay hidden.
    """
    global _handler  # noqa: PLW0603 - the process has one log
    _redactor.hide(secrets)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, _foreign_event],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_ending(format)],
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    if _handler is not None:
        root.removeHandler(_handler)
    root.addHandler(handler)
    root.setLevel(level.upper())
    _handler = handler
    # one line for each webhook says nothing that the metrics do not
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.captureWarnings(True)


def _ending(format: str) -> list[Processor]:  # noqa: A002 - the key's name
    if format == "console":
        return [
            structlog.processors.format_exc_info,
            _redactor,
            structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty()),
        ]
    # locals hold secrets and customers' addresses
    plain = ExceptionDictTransformer(show_locals=False, max_frames=20)
    return [
        structlog.processors.ExceptionRenderer(plain),
        _redactor,
        structlog.processors.JSONRenderer(),
    ]


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger of this name; works before and after `configure`."""
    return cast("structlog.stdlib.BoundLogger", structlog.get_logger(name))


__all__ = ["Redactor", "configure", "context", "get_logger"]
