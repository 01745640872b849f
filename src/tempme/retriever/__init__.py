"""A system with weights in it: built, loaded, saved, described and pushed."""
