"""Find the moment you describe."""
