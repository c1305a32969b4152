"""The configuration as frozen values: every key an operator may write, and its default."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    PrivateAttr,
    SecretStr,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from syncd.config.policies import TABLE, Filled, ItemPolicySettings, PolicySettings, pattern_of
from syncd.config.values import (
    Address,
    Dsn,
    Duration,
    Flag,
    LastingDuration,
    Listen,
    Name,
    Pieces,
    SafeMode,
    Share,
    SizeBytes,
    Sku,
    Units,
    complaint,
)
from syncd.stock.model import Edits, Truth

MatchRule = Literal["sku", "barcode", "handle"]


def _public_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
        # reading the port raises where it is no number
        usable = usable and parts.port != 0 and not (parts.query or parts.fragment or "@" in value)
    except ValueError:
        usable = False
    if not usable:
        raise complaint('must be an address like "https://stock.example.com"')
    return value.rstrip("/")


def _distinct(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value or len(set(value)) != len(value):
        raise complaint("must name at least one rule, and none twice")
    return value


class DatabaseSettings(BaseModel):
    model_config = TABLE

    dsn: Dsn | None = None
    """None: a private PostgreSQL runs under `state_dir`."""


class HttpSettings(BaseModel):
    """The public listener: webhooks only."""

    model_config = TABLE

    listen: Listen = Address("127.0.0.1", 8080)
    public_url: Annotated[str, AfterValidator(_public_url)] | None = None
    """Where platforms reach `listen`, without a slash at the end."""
    max_body: SizeBytes = 1 << 20
    """Bytes; a larger webhook is answered 413."""
    body_timeout: LastingDuration = timedelta(seconds=10)


class TokenSettings(BaseModel):
    """Somebody who may call the API, by a token of their own."""

    model_config = TABLE

    token: SecretStr
    role: Literal["read", "operate", "admin"]
    """Each may what the one before it may, and more."""


class OpsSettings(BaseModel):
    """The operator's listener: metrics, health, API, console."""

    model_config = TABLE

    listen: Listen = Address("127.0.0.1", 9108)
    token: SecretStr | None = None
    """Asked for by the API and the console, role admin; None, and no `tokens`: both stay closed."""
    tokens: dict[Name, TokenSettings] = {}
    """Others who may call the API; their names stand in journal and ledger."""


class SyncSettings(BaseModel):
    model_config = TABLE

    sweep_every: LastingDuration = timedelta(minutes=15)
    sweep_overlap: Duration = timedelta(hours=1)
    """How far before the last good sweep orders are fetched again."""
    blast_radius: Share = 0.2
    """Share (0..1) of a channel's listings that one plan may zero, end or raise unasked."""
    blast_listings: Units | None = None
    """So many listings instead of that share."""
    plan_expiry: LastingDuration = timedelta(days=7)
    """A plan that nobody applied in this time is closed."""
    retain_bodies: Duration = timedelta(days=7)
    """Raw webhook bodies; nothing at all where 0."""
    retain_journal: LastingDuration = timedelta(days=365)
    retain_delivery_ids: LastingDuration = timedelta(days=35)
    """A webhook repeated within this time is recognised by its delivery id."""
    retain_answers: LastingDuration = timedelta(days=7)
    """A call repeated with its `Idempotency-Key` within this time gets the stored answer."""
    order_patience: LastingDuration = timedelta(days=1)
    """A posted pick whose order was not heard of for so long is put to a person."""
    picked_within: LastingDuration = timedelta(days=14)
    """An older order counts as picked when somebody counts what lies there."""
    rebalance_every: LastingDuration = timedelta(minutes=5)
    """How often units of items in escrow move to the channels that are short of them."""
    speed_window: LastingDuration = timedelta(days=7)
    """Of so long the sales make the speed at which an item sells."""
    drain_timeout: Duration = timedelta(seconds=20)
    """How long a stopping daemon waits for calls under way."""


class WarehouseSettings(BaseModel):
    model_config = TABLE

    source: Filled | None = None
    """A channel, or "channel/location", that seeds the counts and brings in new items."""
    gone_at_source: Literal["keep", "zero"] = "keep"
    """What is shown of an item that its source lists no more: what was there, or 0 everywhere."""

    @property
    def source_channel(self) -> str | None:
        return None if self.source is None else self.source.partition("/")[0]

    @property
    def source_location(self) -> str | None:
        """None where only the channel is named."""
        if self.source is None or "/" not in self.source:
            return None
        return self.source.partition("/")[2]


class ChannelSettings(BaseModel):
    model_config = TABLE

    platform: Filled
    enabled: Flag = True
    deliver: Flag = True
    deliver_raises: Flag = True
    deliver_lowers: Flag = True
    edits: Edits | None = None
    """None: the platform's default."""
    commit_on: Literal["created", "paid"] = "created"
    restock: Literal["as_platform", "always", "never"] = "as_platform"
    match: Annotated[tuple[MatchRule, ...], AfterValidator(_distinct)] = ("sku",)
    truth: Truth | None = None
    """None: decided by the platform and `edits`."""
    safe_mode: SafeMode = "off"
    """Neither a reading nor a message for so long: it is silent, and the other channels keep a reserve
    for what it may sell unseen. "auto": three times `sync.sweep_every`."""
    zero_when_silent: Flag = False
    """While it is silent, it shows none of what may be sold out there."""
    spread: Literal["divide", "each"] = "divide"
    """What several of its locations in one warehouse show: together what there is, or all of it each."""
    locations: dict[Filled, Name] = {}
    """The platform's location id, or "*" for those not named, to a warehouse."""
    policy: PolicySettings = PolicySettings()
    patterns: dict[Filled, ItemPolicySettings] = {}
    """Skus that differ, by pattern; of several that match, the first one written holds."""
    items: dict[Sku, ItemPolicySettings] = {}
    """Single items that differ; they beat the patterns, and both beat `policy`."""
    options: dict[str, Any] = {}
    """The platform's own settings, secrets resolved to SecretStr; its connector checks them."""

    def warehouse_of(self, location: str) -> str | None:
        """The warehouse a location feeds; None where it is not mapped."""
        return self.locations.get(location, self.locations.get("*"))

    def policy_for(self, sku: str) -> PolicySettings:
        """The channel's policy bent by the pattern that a sku matches, and by what `items` says of it."""
        pattern, own = pattern_of(sku, self.patterns), self.items.get(sku)
        found = self.policy if pattern is None else self.patterns[pattern].over(self.policy)
        return found if own is None else own.over(found)

    def excludes(self, sku: str) -> bool:
        """True if this sku is never delivered here; the narrowest rule that speaks of it decides."""
        pattern, own = pattern_of(sku, self.patterns), self.items.get(sku)
        if own is not None and own.exclude is not None:
            return own.exclude
        wider = self.patterns[pattern].exclude if pattern is not None else None
        return wider if wider is not None else pattern_of(sku, self.policy.exclude) is not None


class BundleSettings(BaseModel):
    """An item that is made of others when it is sold."""

    model_config = TABLE

    components: dict[Sku, Pieces]
    """Units of each in one bundle, by sku."""


class LogSettings(BaseModel):
    model_config = TABLE

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class Settings(BaseSettings):
    """The whole configuration. Made by `load`; made by hand it reads nothing from outside."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=False
    )

    database: DatabaseSettings = DatabaseSettings()
    http: HttpSettings = HttpSettings()
    ops: OpsSettings = OpsSettings()
    sync: SyncSettings = SyncSettings()
    warehouses: dict[Name, WarehouseSettings] = {}
    channels: dict[Name, ChannelSettings] = {}
    bundles: dict[Sku, BundleSettings] = {}
    state_dir: Path = Path("/var/lib/syncd")
    log: LogSettings = LogSettings()

    _warnings: tuple[str, ...] = PrivateAttr(default=())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What works but should not stay as it is, each with its full key."""
        return self._warnings

    def secrets(self) -> tuple[str, ...]:
        """Every secret value, so that logs can be kept clean of them."""
        found = [secret.get_secret_value() for secret in _secrets_in(self)]
        if self.database.dsn is not None:
            found += _passwords(self.database.dsn.get_secret_value())
        return tuple(dict.fromkeys(found))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def _passwords(dsn: str) -> list[str]:
    """The password of a dsn as written and as meant: drivers speak of it alone."""
    try:
        password = urlsplit(dsn).password
    except ValueError:
        return []
    return [password, unquote(password)] if password else []


def _secrets_in(value: Any) -> Iterator[SecretStr]:
    if isinstance(value, SecretStr):
        yield value
    elif isinstance(value, BaseModel):
        for key in type(value).model_fields:
            yield from _secrets_in(getattr(value, key))
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _secrets_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _secrets_in(inner)
