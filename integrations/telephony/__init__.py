"""The telephony vendors, one folder each. A new folder with a `VENDOR` in it is a new vendor; nothing else changes."""
