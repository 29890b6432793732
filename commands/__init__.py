"""What an operator types. Each command takes `--json`, says what it did, and ends non-zero with one plain sentence when
it could not."""
