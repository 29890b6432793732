"""The modules and fields of a Zoho CRM, as `/settings/modules` and `/settings/fields` tell them: those of a freshly
opened one, a column for numbers that an administrator added to contacts, three for calls, and two modules of their own:
machines, which have telephones, and a record of each service call.

Field sets follow Zoho's v8 modules-fields pages and its data-model export of Calls; they satisfy the official SDK.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

JSON_TYPES = {
    "boolean": "boolean",
    "integer": "integer",
    "double": "double",
    "lookup": "jsonobject",
    "ownerlookup": "jsonobject",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One column: what may be written into it, and what its metadata says."""

    api_name: str
    data_type: str = "text"
    length: int = 255
    mandatory: bool = False
    read_only: bool = False
    choices: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()  # of a deal's stages: those after which it is over
    unique: bool = False  # an administrator lets no value stand twice
    lookup: str = ""  # the module it points to; se_module: whichever $se_module names
    label: str = ""  # what people read above it; empty: as it is named
    custom: bool = False  # an administrator added it
    cti: bool = False  # written by telephony only; whether the API may is unconfirmed, so it is a knob


@dataclass(frozen=True, slots=True)
class Module:
    """One tab of the CRM."""

    api_name: str
    singular: str
    display: str  # the field its records are called by
    fields: dict[str, Field]
    duplicate_field: str = ""  # the system's own duplicate check on upsert; none: upsert is not supported
    is_activity: bool = False
    custom: int = 0  # the how-manieth an administrator made; 0: Zoho's own

    @property
    def scope(self) -> str:
        """What scopes call it: one word for all modules that administrators made."""
        return "custom" if self.custom else self.api_name

    @property
    def phones(self) -> tuple[str, ...]:
        """Name the phone columns."""
        return tuple(field.api_name for field in self.fields.values() if field.data_type == "phone")


def _text(*names: str, length: int = 255) -> list[Field]:
    return [Field(name, length=length) for name in names]


def _phones(*names: str) -> list[Field]:
    return [Field(name, "phone", 30) for name in names]


def _pick(name: str, *choices: str, mandatory: bool = False) -> Field:
    return Field(name, "picklist", 120, mandatory=mandatory, choices=choices)


SYSTEM = [
    Field("id", "bigint", 20, read_only=True),
    Field("Owner", "ownerlookup", 120),
    Field("Created_By", "ownerlookup", 120, read_only=True),
    Field("Modified_By", "ownerlookup", 120, read_only=True),
    Field("Created_Time", "datetime", 120, read_only=True),
    Field("Modified_Time", "datetime", 120, read_only=True),
    Field("Last_Activity_Time", "datetime", 120, read_only=True),
    Field("Record_Status__s", "picklist", 120, read_only=True, choices=("Available", "Draft", "Trash")),
    Field("Locked__s", "boolean", 5, read_only=True),
]
PERSON = [
    _pick("Salutation", "Mr.", "Mrs.", "Ms.", "Dr.", "Prof."),
    *_text("First_Name", length=40),
    Field("Last_Name", length=80, mandatory=True),
    Field("Full_Name", read_only=True),
    Field("Email", "email", 100),
    Field("Secondary_Email", "email", 100),
    *_phones("Phone", "Mobile", "Fax"),
    _pick("Lead_Source", "Advertisement", "Cold Call", "External Referral", "Web Download", "Chat"),
    Field("Email_Opt_Out", "boolean", 5),
    Field("Description", "textarea", 32000),
    *_text("Mailing_Street", "Mailing_City", "Mailing_Country"),
]
RELATED = [Field("Who_Id", "lookup", lookup="Contacts"), Field("What_Id", "lookup", lookup="se_module")]


def _module(name: str, singular: str, display: str, fields: Iterable[Field], **rest: Any) -> Module:
    return Module(name, singular, display, {field.api_name: field for field in [*SYSTEM, *fields]}, **rest)


_CONTACT = [
    *PERSON,
    *_phones("Home_Phone", "Other_Phone", "Asst_Phone"),
    Field("Direct_Line", "phone", 30, label="Direct line", custom=True),
    *_text("Title", length=100),
    *_text("Department"),
    Field("Account_Name", "lookup", lookup="Accounts"),
]
_LEAD = [
    *PERSON,
    Field("Company", length=200, mandatory=True),
    *_text("Designation", length=100),
    Field("Website", "website"),
    _pick("Lead_Status", "Attempted to Contact", "Contacted", "Junk Lead", "Lost Lead", "Not Contacted"),
    Field("Converted__s", "boolean", 5, read_only=True),
    Field("Converted_Date_Time", "datetime", 120, read_only=True),
    Field("Converted_Contact", "lookup", read_only=True, lookup="Contacts"),
    Field("Converted_Account", "lookup", read_only=True, lookup="Accounts"),
]
_ACCOUNT = [
    Field("Account_Name", length=200, mandatory=True),
    *_phones("Phone", "Fax"),
    Field("Website", "website"),
    Field("Description", "textarea", 32000),
]
_CALL = [
    Field("Subject", mandatory=True),
    _pick("Call_Type", "Inbound", "Outbound", "Missed", mandatory=True),
    Field("Call_Start_Time", "datetime", 120, mandatory=True),
    Field("Call_Duration", length=120, mandatory=True),
    Field("Call_Duration_in_seconds", "integer", 9),
    *RELATED,
    Field("Description", "textarea", 32000),
    _pick("Call_Purpose", "Prospecting", "Administrative", "Negotiation", "Demo", "Project", "Desk"),
    _pick("Call_Result", "Interested", "Not interested", "No response/Busy", "Requested more info", "Invalid number"),
    _pick("Outgoing_Call_Status", "Scheduled", "Completed", "Overdue", "Cancelled"),
    Field("Scheduled_In_CRM", "picklist", 120, read_only=True),
    *_text("Call_Agenda"),
    _pick("Reminder", "5 mins before", "10 mins before", "15 mins before"),
    Field("Voice_Recording__s", "website", 450),
    Field("CTI_Entry", "boolean", 5, cti=True),
    Field("Caller_ID", cti=True),
    Field("Dialled_Number", cti=True),
    Field("Queue_Name", length=20, label="Queue", custom=True),
    Field("Minutes_Spoken", "double", 16, label="Minutes spoken", custom=True),
    Field("Answered_At", "datetime", 120, label="Answered at", custom=True),
]
_TASK = [
    Field("Subject", mandatory=True),
    Field("Due_Date", "date", 20),
    _pick("Status", "Not Started", "Deferred", "In Progress", "Completed", "Waiting for input"),
    _pick("Priority", "High", "Highest", "Low", "Lowest", "Normal"),
    *RELATED,
    Field("Description", "textarea", 32000),
    Field("Closed_Time", "datetime", 120, read_only=True),
]
_NOTE = [
    Field("Note_Title", length=120),
    Field("Note_Content", "textarea", 32000, mandatory=True),
    Field("Parent_Id", "lookup", mandatory=True, lookup="se_module"),
]
_STAGES = ("Qualification", "Needs Analysis", "Proposal/Price Quote", "Negotiation/Review", "Closed Won", "Closed Lost")
_DEAL = [
    Field("Deal_Name", length=120, mandatory=True),
    Field("Stage", "picklist", 120, mandatory=True, choices=_STAGES, closed=_STAGES[-2:]),
    Field("Closing_Date", "date", 20),
    Field("Amount", "double", 16),
    Field("Account_Name", "lookup", lookup="Accounts"),
    Field("Contact_Name", "lookup", lookup="Contacts"),
    Field("Site_Phone", "phone", 30, label="Site phone", custom=True),
    Field("Description", "textarea", 32000),
]
_MACHINE = [
    Field("Name", length=120, mandatory=True, label="Machine Name"),
    *[Field(name, "phone", 30, label=name.replace("_", " "), custom=True) for name in ("Panel_Phone", "Door_Phone")],
    Field("Serial_Number", label="Serial number", custom=True),
    Field("Customer", "lookup", lookup="Accounts", custom=True),
]
_SERVICE_CALL = [
    Field("Name", length=120, mandatory=True, label="Service Call Name"),
    Field("Call_Reference", length=64, unique=True, label="Call reference", custom=True),
    Field("Caller", label="Caller", custom=True),
    Field("Report", "textarea", 32000, label="Report", custom=True),
    Field("Minutes", "double", 16, label="Minutes", custom=True),
    Field("Contact", "lookup", lookup="Contacts", custom=True),
    Field("Machine", "lookup", lookup="Machines", custom=True),
]

MODULES = {
    module.api_name: module
    for module in (
        _module("Leads", "Lead", "Full_Name", _LEAD, duplicate_field="Email"),
        _module("Contacts", "Contact", "Full_Name", _CONTACT, duplicate_field="Email"),
        _module("Accounts", "Account", "Account_Name", _ACCOUNT, duplicate_field="Account_Name"),
        _module("Tasks", "Task", "Subject", _TASK, is_activity=True),
        _module("Calls", "Call", "Subject", _CALL, is_activity=True),
        _module("Notes", "Note", "Note_Title", _NOTE),
        _module("Deals", "Deal", "Deal_Name", _DEAL, duplicate_field="Deal_Name"),
        _module("Machines", "Machine", "Name", _MACHINE, duplicate_field="Name", custom=1),
        _module("Service_Calls", "Service Call", "Name", _SERVICE_CALL, duplicate_field="Name", custom=2),
    )
}


def module_id(prefix: str, name: str) -> str:
    """Number a module, the same each time within one organisation."""
    return f"{prefix}{2100 + list(MODULES).index(name) if name in MODULES else 2099:012d}"


def describe_module(prefix: str, module: Module) -> dict[str, Any]:
    """Write a module as `/settings/modules` does."""
    return {
        "api_name": module.api_name,
        "module_name": f"CustomModule{module.custom}" if module.custom else module.api_name,
        "singular_label": module.singular,
        "plural_label": module.api_name.replace("_", " "),
        "id": module_id(prefix, module.api_name),
        "api_supported": True,
        "creatable": True,
        "deletable": True,
        "editable": True,
        "viewable": True,
        "visible": True,
        "show_as_tab": module.api_name != "Notes",
        "generated_type": "custom" if module.custom else "default",
        "status": "visible",
    }


def describe_field(prefix: str, module: Module, field: Field, *, writable: bool, unique: bool) -> Any:
    """Write a field as `/settings/fields` does; what only a layout demands it does not say."""
    number = f"{prefix}{list(MODULES).index(module.api_name) * 200 + list(module.fields).index(field.api_name):012d}"
    picks: list[dict[str, Any]] = [
        {"actual_value": choice, "display_value": choice, "reference_value": choice, "id": f"{number[:-5]}{70000 + i}"}
        | {"sequence_number": i + 1, "type": "used", "colour_code": None}
        | ({"forecast_type": choice if choice in field.closed else "Open"} if field.closed else {})
        for i, choice in enumerate(field.choices)
    ]
    lookup: dict[str, Any] = {}
    if field.lookup:
        target = {"api_name": field.lookup, "id": module_id(prefix, field.lookup)}
        lookup = {"display_label": module.api_name, "api_name": None, "id": None, "module": target}
    label = field.label or field.api_name.removesuffix("__s").replace("_", " ")
    return {
        "api_name": field.api_name,
        "field_label": label,
        "display_label": label,
        "id": number,
        "data_type": field.data_type,
        "json_type": JSON_TYPES.get(field.data_type, "string"),
        "length": field.length,
        "system_mandatory": field.mandatory,
        "read_only": not writable,
        "field_read_only": not writable,
        "custom_field": field.custom,
        "visible": True,
        "filterable": field.data_type != "textarea",
        "searchable": True,
        "sortable": field.data_type != "textarea",
        "unique": {"casesensitive": "false"} if unique or field.unique else {},
        "pick_list_values": picks,
        "lookup": lookup,
        "operation_type": dict.fromkeys(("web_update", "api_create", "web_create", "api_update"), writable),
        "type": "used",
        "created_source": "default",
    }
