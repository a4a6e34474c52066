"""A faithful local EPoint for development and tests."""
