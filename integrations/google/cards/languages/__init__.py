"""The same phrases in every language the cards speak, one file each. `words` reads them; nothing else does."""
