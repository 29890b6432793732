"""How consent is asked, kept, renewed and withdrawn: one way for every provider."""
