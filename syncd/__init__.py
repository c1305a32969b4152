"""syncd keeps the stock counts of many shops equal: one ledger, one outbox, one lane per channel."""

__version__ = "0.1.0"
