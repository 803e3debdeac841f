"""Compare recipes and runs over seeds."""
