"""What we compare: a backbone, a tuning, a compression and a pooling, and the paper's rows."""
