"""The package's version, by itself so that every layer may ask for it."""

__version__ = "0.2.0.dev0"
