"""Keeping, sealing, forgetting. Everything a tenant trusts us with goes through this floor and no other."""
