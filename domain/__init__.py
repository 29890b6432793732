"""What things mean: calls, people, numbers, consent, promises. Nothing here does I/O."""
