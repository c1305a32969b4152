"""The rules of stock: pure code that thinks. No await, no I/O, no clock, no third-party import."""
