"""Three light shops in one process: the platforms' API shapes on loopback, shelves, and shoppers.

The strict stand-ins check every request against the vendors' schemas, which costs more than the
daemon does: two cores could not hold both. These answer what the connectors ask, in the same
shapes, and keep honest shelves, so that a wrong number is found at the end of a run. What they do
not do: no refusals, no lost answers, and order lists are empty, since no webhook is lost.
"""
