"""Class-wise density and convexity of cached embeddings (spec section 8)."""
