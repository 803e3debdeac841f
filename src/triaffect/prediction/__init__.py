"""From media files to prediction tables."""
