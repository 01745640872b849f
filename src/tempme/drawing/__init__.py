"""Pictures of what merges and of what was found."""
