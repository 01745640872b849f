"""The lively part of the world: seven to nine small things, of which captions tell a detail."""
