"""Augmentation of face crops and log-mel spectra for training."""
