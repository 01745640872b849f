"""How well and how fast a retriever is: a split's metrics, known answers, timing."""
