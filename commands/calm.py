"""Python looks through what it has made for what nobody needs any more; here is how often.

What was there before the work began stays, and is not looked through at all. What the work makes is mostly freed
without looking: with Python's own measure a sixth of a first load's time went into looking for the rest.
"""

from __future__ import annotations

import gc

FEW, OLDER = 50_000, (20, 50)  # objects made between two looks; looks between two at what is older


def settle() -> None:
    """Leave alone what there is by now, and look seldom."""
    gc.freeze()
    gc.set_threshold(FEW, *OLDER)
