"""The acts of the story, each a function that does something through the real doors and yields what it saw.

A line is yielded only after it was checked; what is not as promised raises `Amiss` with the reason in words.
"""
