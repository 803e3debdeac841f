"""A page to look at."""
