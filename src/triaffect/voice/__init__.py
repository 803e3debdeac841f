"""Sound to log-mel rows and voice activity."""
