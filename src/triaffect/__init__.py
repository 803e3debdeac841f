"""Valence-arousal, expression and action units from faces and voices in video."""

__version__ = "0.1.0"
