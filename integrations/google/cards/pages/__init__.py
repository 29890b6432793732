"""A page for each thing a card shows: a view and the reader's words in, a card out. Nothing is asked or kept here."""
