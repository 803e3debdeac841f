"""Corpora of music: ratings of whole songs and of their half seconds, and tags of moods."""
