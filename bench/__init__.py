"""How fast the promises are kept: each measure beside a baseline taken in the same run. Nothing is asserted here."""
