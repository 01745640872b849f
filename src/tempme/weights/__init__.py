"""Published weights of every layout, read without running anything that is in them."""
