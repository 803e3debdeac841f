"""Prediction tables: columns, smoothing, baseline, summary, writing. No network."""
