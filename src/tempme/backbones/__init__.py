"""The backbone: CLIP's two towers, and the published files that fill them."""
