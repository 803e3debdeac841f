"""What a network sees: windows of stored vectors, or augmented crops and spectra."""
