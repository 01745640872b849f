"""What a container says of its video: streams, when which frame is shown, whether it is cut."""
