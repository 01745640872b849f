"""Where an index keeps its rows."""
