"""Zoho: how consent is asked there, and its CRM and PhoneBridge behind our ports."""

from integrations.zoho.bridge import Dial, ZohoPhoneBridge, read_dial
from integrations.zoho.crm import ZohoCrm, open_bridge, open_crm, open_people_writer
from integrations.zoho.notifications import Notification, read_notification
from integrations.zoho.provider import provider, signed_in
from integrations.zoho.writing import ZohoPeopleWriter

__all__ = [
    "Dial",
    "Notification",
    "ZohoCrm",
    "ZohoPeopleWriter",
    "ZohoPhoneBridge",
    "open_bridge",
    "open_crm",
    "open_people_writer",
    "provider",
    "read_dial",
    "read_notification",
    "signed_in",
]
