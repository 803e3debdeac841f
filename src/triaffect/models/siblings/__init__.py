"""Networks of other published systems, on stored vectors."""
