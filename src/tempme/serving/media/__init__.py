"""What a browser shows: thumbnails, clips and files that it can play."""
