"""How durations, sizes, shares, addresses and counts are written, and what is refused.

No message quotes what was written: it might be a secret in the wrong place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_core import PydanticCustomError

from syncd.stock.bundles import UNITS_LIMIT
from syncd.stock.model import QUANTITY_LIMIT

DURATION_LIMIT = timedelta(days=36_500)
SIZE_LIMIT_BYTES = 1 << 40

_DURATION = re.compile(r"(?:[0-9]{1,9}(?:ms|s|m|h|d|w))+")
_DURATION_PART = re.compile(r"([0-9]+)(ms|s|m|h|d|w)")
_DURATION_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_SIZE = re.compile(r"([0-9]{1,13})(B|KiB|MiB|GiB|kB|MB|GB)")
_SIZE_UNITS = {
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)%")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")


def complaint(text: str) -> PydanticCustomError:
    """An error whose words reach the operator as they are."""
    return PydanticCustomError("syncd", "{words}", {"words": text})


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener listens; port 0 lets the system choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """True where only this machine can reach it."""
        return self.host in {"localhost", "::1"} or self.host.startswith("127.")

    def collides(self, other: Address) -> bool:
        """True if both cannot be listened on at once."""
        everywhere = {"0.0.0.0", "::"}  # noqa: S104 - compared, never bound
        same_host = self.host == other.host or bool({self.host, other.host} & everywhere)
        return self.port != 0 and self.port == other.port and same_host


def duration(value: Any) -> timedelta:
    """Read "15m", "90s", "1h30m", "250ms", "7d"; a bare number has no unit and is refused."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not _DURATION.fullmatch(value.strip()):
        raise complaint('must be a duration with its unit, like "15m", "90s" or "1h30m"')
    total = timedelta()
    try:
        for amount, unit in _DURATION_PART.findall(value):
            total += int(amount) * _DURATION_UNITS[unit]
    except OverflowError:
        total = timedelta.max
    if total > DURATION_LIMIT:
        raise complaint("must be a duration of at most 100 years")
    return total


def _lasting(value: timedelta) -> timedelta:
    if value <= timedelta():
        raise complaint("must be longer than nothing")
    return value


def size(value: Any) -> int:
    """Read "1MiB", "512KiB", "2MB" as bytes; a bare number has no unit and is refused."""
    if isinstance(value, str) and (found := _SIZE.fullmatch(value.strip())):
        size_bytes = int(found[1]) * _SIZE_UNITS[found[2]]
        if 0 < size_bytes <= SIZE_LIMIT_BYTES:
            return size_bytes
        raise complaint("must be a size between 1B and 1024GiB")
    raise complaint('must be a size with its unit, like "1MiB" or "512KiB"')


def share(value: Any) -> float:
    """Read "20%" as 0.2; a bare number could mean either and is refused."""
    if isinstance(value, str) and (found := _SHARE.fullmatch(value.strip())):
        part = float(found[1]) / 100
        if part <= 1:
            return part
    raise complaint('must be a share from "0%" to "100%", in quotes and with its sign')


def address(value: Any) -> Address:
    """Read "127.0.0.1:8080" or "[::1]:8080"."""
    if isinstance(value, Address):
        return value
    if isinstance(value, str):
        host, _, port = value.strip().rpartition(":")
        if _HOST.fullmatch(host) and re.fullmatch("[0-9]{1,5}", port) and int(port) <= 65_535:
            return Address(host.strip("[]"), int(port))
    raise complaint('must be an address and a port, like "127.0.0.1:8080" or "[::1]:8080"')


def whole(value: Any) -> int:
    """A whole number; the environment may write it as text. 1.0 and true are none."""
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise complaint("must be a whole number")


def flag(value: Any) -> bool:
    """Exactly true or false; the environment may write it as text."""
    if isinstance(value, bool):
        return value
    words = {"true": True, "false": False}
    if isinstance(value, str) and value.strip().lower() in words:
        return words[value.strip().lower()]
    raise complaint("must be true or false")


def name(value: str) -> str:
    """A channel's or warehouse's name: it stands in addresses, labels and variables."""
    if not _NAME.fullmatch(value):
        raise complaint("a name has 1 to 63 letters, digits, hyphens and underscores")
    return value


def _units(value: int) -> int:
    if not 0 <= value <= QUANTITY_LIMIT:
        raise complaint(f"must be between 0 and {QUANTITY_LIMIT}")
    return value


def _percent(value: int) -> int:
    if not 0 <= value <= 100:
        raise complaint("must be between 0 and 100")
    return value


def _pieces(value: int) -> int:
    if not 1 <= value <= UNITS_LIMIT:
        raise complaint(f"must be between 1 and {UNITS_LIMIT}")
    return value


def _sku(value: str) -> str:
    if not value.strip() or len(value) > 255:
        raise complaint("a sku has 1 to 255 characters")
    return value


def _dsn(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise complaint('must begin with "postgresql://"')
    return value


def _safe_mode(value: Any) -> timedelta | Literal["off", "auto"]:
    if value in ("off", "auto"):
        return value  # type: ignore[no-any-return] # one of the two
    try:
        return _lasting(duration(value))
    except PydanticCustomError:
        raise complaint('must be "off", "auto" or a duration, like "45m"') from None


Duration = Annotated[timedelta, BeforeValidator(duration)]
LastingDuration = Annotated[Duration, AfterValidator(_lasting)]
SizeBytes = Annotated[int, BeforeValidator(size)]
Share = Annotated[float, BeforeValidator(share)]
Listen = Annotated[Address, BeforeValidator(address)]
SafeMode = Annotated[timedelta | Literal["off", "auto"], BeforeValidator(_safe_mode)]
Flag = Annotated[bool, BeforeValidator(flag)]
Units = Annotated[int, BeforeValidator(whole), AfterValidator(_units)]
Pieces = Annotated[int, BeforeValidator(whole), AfterValidator(_pieces)]
Percent = Annotated[int, BeforeValidator(whole), AfterValidator(_percent)]
Name = Annotated[str, AfterValidator(name)]
Sku = Annotated[str, AfterValidator(_sku)]
Dsn = Annotated[SecretStr, AfterValidator(_dsn)]
