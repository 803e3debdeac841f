"""Features that other programs computed, joined to a store."""
