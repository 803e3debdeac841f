"""The loop, its stages, checkpoints, journal and export."""
