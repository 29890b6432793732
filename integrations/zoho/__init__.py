"""Zoho: how consent is asked there, and its CRM and PhoneBridge behind our ports."""

from integrations.zoho.bridge import Dial, ZohoPhoneBridge, read_dial
from integrations.zoho.crm import ZohoCrm, open_bridge, open_crm
from integrations.zoho.notifications import Notification, read_notification
from integrations.zoho.provider import provider, signed_in

__all__ = [
    "Dial",
    "Notification",
    "ZohoCrm",
    "ZohoPhoneBridge",
    "open_bridge",
    "open_crm",
    "provider",
    "read_dial",
    "read_notification",
    "signed_in",
]
