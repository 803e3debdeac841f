"""From a file to a table."""
