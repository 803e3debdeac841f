"""A challenge's submission file, written and checked."""
