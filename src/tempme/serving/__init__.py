"""An index over HTTP, and the page that people see: `tempme serve`."""
