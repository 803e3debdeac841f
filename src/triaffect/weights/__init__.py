"""Shipped model folders, each with a card; their licence is in LICENSE."""
