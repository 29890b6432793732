"""What every adapter of a kind has to do, run for each one that exists."""
