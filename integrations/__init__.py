"""Everything about each outside system, and nothing about it anywhere else. A telephony vendor is found by existing."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from domain.ports import TelephonyVendor
from integrations import telephony


@cache
def telephony_vendors() -> dict[str, TelephonyVendor]:
    """Return every telephony vendor by its slug: each folder in `integrations/telephony/` and its `VENDOR`."""
    folders = sorted(module.name for module in pkgutil.iter_modules(telephony.__path__) if module.ispkg)
    vendors: list[TelephonyVendor] = [
        importlib.import_module(f"{telephony.__name__}.{folder}").VENDOR for folder in folders
    ]
    return {vendor.slug: vendor for vendor in vendors}
