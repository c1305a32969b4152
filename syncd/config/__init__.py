"""The operator's configuration: `load` gives frozen Settings or says everything wrong at once."""

from syncd.config.changes import Change, Diff, diff
from syncd.config.complaints import problems_of
from syncd.config.load import load
from syncd.config.models import (
    ChannelSettings,
    DatabaseSettings,
    HttpSettings,
    LogSettings,
    OpsSettings,
    Settings,
    SyncSettings,
    WarehouseSettings,
)
from syncd.config.policies import ItemPolicySettings, PolicySettings
from syncd.config.values import Address

__all__ = [
    "Address",
    "Change",
    "ChannelSettings",
    "DatabaseSettings",
    "Diff",
    "HttpSettings",
    "ItemPolicySettings",
    "LogSettings",
    "OpsSettings",
    "PolicySettings",
    "Settings",
    "SyncSettings",
    "WarehouseSettings",
    "diff",
    "load",
    "problems_of",
]
