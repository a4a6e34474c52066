"""What EPoint says on the wire; no I/O."""
