"""Commands on a prediction table that is there: summarize, groups, export-events."""
