"""The lively part of the world: four small things each, of which captions tell a detail."""
