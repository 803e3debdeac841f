"""Shipped model folders, each with its card and license."""
