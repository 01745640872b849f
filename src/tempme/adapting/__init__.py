"""A model that merges, fitted to a person's own videos: nothing of them is labelled."""
