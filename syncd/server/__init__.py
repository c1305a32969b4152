"""The two listeners: the door, where webhooks come in and are stored, and ops, where we are watched."""

from syncd.server.door import Door, DoorChannel
from syncd.server.listen import Address, address
from syncd.server.ops import Ops
from syncd.server.store import Ack, GroupedStore

__all__ = ["Ack", "Address", "Door", "DoorChannel", "GroupedStore", "Ops", "address"]
