"""Files, processes and threads; no word of the domain."""
