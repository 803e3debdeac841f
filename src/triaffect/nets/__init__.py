"""Every torch module."""
