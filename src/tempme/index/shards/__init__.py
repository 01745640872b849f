"""What a run makes of videos, apart from any store: one file for each content."""
