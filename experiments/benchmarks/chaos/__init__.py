"""Chaos: a small grid on a real Ray cluster of several nodes, disturbed at random moments.

python -m experiments.benchmarks.chaos --seed 0 --disturbances 100     # after `make dev`
"""
