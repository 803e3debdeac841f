"""Networks that turn face crops and sound into feature rows."""
