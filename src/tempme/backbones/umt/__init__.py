"""UMT (Li et al., ICCV 2023, arXiv 2303.16058): video, text, and words that look at a video."""
