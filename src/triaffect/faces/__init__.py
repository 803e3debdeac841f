"""Frames to aligned, tracked faces."""
