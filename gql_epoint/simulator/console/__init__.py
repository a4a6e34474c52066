"""The console: what happens in the simulator, for people to watch and to change."""
