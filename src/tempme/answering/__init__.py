"""Questions about videos: which answer of a list a model finds likeliest."""
