"""Native label files to Moments."""
