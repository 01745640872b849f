"""Models in the layouts of other programs."""
