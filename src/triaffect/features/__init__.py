"""Runners of face and voice networks, and the store of what they give."""
