"""What the Containerfile says, done without an engine."""
