"""Strict stand-in stores: real servers on loopback that refuse what the real platform refuses."""
