"""Class-wise density and convexity of cached embeddings."""
