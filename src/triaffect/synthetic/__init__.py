"""A made corpus in the exact form of Aff-Wild2."""
