"""Render a corpus in the exact form of Aff-Wild2."""
