"""Inverted lists (an IVF index): a copy of the features by which a large index is searched."""
