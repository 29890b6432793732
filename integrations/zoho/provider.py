"""Zoho as an OAuth provider: its addresses and habits, and what each permission is for in an administrator's words.

The flow itself is `oauth.flow`; no token is kept here. Facts: https://www.zoho.com/accounts/protocol/oauth.html
"""

from __future__ import annotations

from domain.consent import Feature
from domain.errors import ConsentLost, TryLater
from domain.ports import Http, SignedIn
from integrations.zoho.client import ZohoClient
from integrations.zoho.datacentres import DataCentres
from oauth.provider import Client, OAuthProvider
from settings import Settings

ORGANISATION = frozenset({"ZohoCRM.org.READ", "ZohoCRM.users.READ"})
FIND_CALLS = frozenset({"ZohoCRM.modules.calls.READ", "ZohoCRM.coql.READ"})
VERBS = ("READ", "CREATE", "UPDATE", "DELETE")

FEATURES = (
    Feature(
        slug="calls",
        title="Log calls",
        purpose="Write every finished call into Zoho CRM once, under the person who took it.",
        scopes=ORGANISATION | FIND_CALLS | {"ZohoCRM.modules.calls.CREATE", "ZohoCRM.settings.fields.READ"},
        without="Calls are not written into Zoho CRM.",
    ),
    Feature(
        slug="repair",
        title="Put the call log right",
        purpose="Correct calls we wrote when the phone system corrects itself, and remove what we wrote twice.",
        scopes=ORGANISATION | FIND_CALLS | {f"ZohoCRM.modules.calls.{verb}" for verb in ("UPDATE", "DELETE")},
        without="Calls that differ or stand twice in Zoho CRM are counted, not put right.",
    ),
    Feature(
        slug="follow-ups",
        title="Follow up missed calls",
        purpose="Give whoever looks after a caller nobody answered a task to call back, and close it once they spoke.",
        scopes=ORGANISATION
        | {"ZohoCRM.coql.READ"}
        | {f"ZohoCRM.modules.tasks.{verb}" for verb in ("CREATE", "READ", "UPDATE")},
        without="Missed calls make no tasks in Zoho CRM; they are listed here only.",
    ),
    Feature(
        slug="call-fields",
        title="Fill fields of calls and new contacts",
        purpose="Read which fields calls, contacts and leads have in Zoho CRM and which of them a layout demands, so"
        " that what you map is checked before it is used.",
        scopes=frozenset({"ZohoCRM.settings.fields.READ", "ZohoCRM.settings.layouts.READ"}),
        without="A field that only a layout demands is noticed when Zoho refuses a call, or a contact.",
        optional=True,
    ),
    Feature(
        slug="contacts",
        title="Know who is calling",
        purpose="Read names, companies and numbers of contacts and leads, so that a caller has a name.",
        scopes=ORGANISATION | {"ZohoCRM.modules.contacts.READ", "ZohoCRM.modules.leads.READ"},
        without="Callers who are in Zoho CRM only show as a number.",
    ),
    Feature(
        slug="export",
        title="Read a large organisation at once",
        purpose="Have Zoho CRM write contacts, leads and companies into a file for us where there are more than"
        " 20,000, so that the first reading takes minutes and few of the organisation's API credits.",
        scopes=ORGANISATION | {"ZohoCRM.bulk.READ"},
        without="A large organisation is read page by page at first, 200 records a request.",
        optional=True,
    ),
    Feature(
        slug="accounts",
        title="Know companies by their number",
        purpose="Read companies and their numbers, so that a call from a switchboard can be logged on the company.",
        scopes=ORGANISATION | {"ZohoCRM.modules.accounts.READ"},
        without="A call from a number that only a company has shows as a number.",
    ),
    Feature(
        slug="views",
        title="Read only a view",
        purpose="Read which views contacts, leads and companies have in Zoho CRM, so that you can choose the one whose"
        " people take part.",
        scopes=frozenset({"ZohoCRM.settings.custom_views.READ"}),
        without="All contacts, leads and companies of a module take part, or none.",
        optional=True,
    ),
    Feature(
        slug="deals",
        title="Log calls on deals",
        purpose="Read deals, whose they are and the numbers they have, so that a call can be logged on a customer's"
        " open deal.",
        scopes=ORGANISATION | {"ZohoCRM.modules.deals.READ", "ZohoCRM.settings.fields.READ"},
        without="Calls are logged on people and companies, not on deals.",
        optional=True,
        by_name=True,
    ),
    Feature(
        slug="own-modules",
        title="Search modules of your own",
        purpose="Read which modules your administrators made, and of those you choose each record's name, numbers and"
        " owner, so that a call from one of these numbers is logged on it.",
        scopes=ORGANISATION
        | {f"ZohoCRM.{name}.READ" for name in ("modules.custom", "settings.modules", "settings.fields")},
        without="Numbers that only a module of your own has show as numbers.",
        optional=True,
        by_name=True,
    ),
    Feature(
        slug="own-records",
        title="Write a record for each call",
        purpose="Make one record for each call in the module you choose, beside its activity, and look whether it is"
        " there before it is made again.",
        scopes=ORGANISATION
        | {"ZohoCRM.coql.READ", "ZohoCRM.modules.custom.CREATE"}
        | {f"ZohoCRM.{name}.READ" for name in ("modules.custom", "settings.modules", "settings.fields")},
        without="Calls make no records in modules of your own.",
        optional=True,
        by_name=True,
    ),
    Feature(
        slug="deal-records",
        title="Write a deal for each call",
        purpose="Make one deal for each call you choose, beside its activity, and look whether it is there before it"
        " is made again.",
        scopes=ORGANISATION
        | {"ZohoCRM.coql.READ", "ZohoCRM.settings.fields.READ"}
        | {f"ZohoCRM.modules.deals.{verb}" for verb in ("CREATE", "READ")},
        without="Calls make no deals.",
        optional=True,
        by_name=True,
    ),
    Feature(
        slug="leads",
        title="Make leads of unknown callers",
        purpose="Create a lead when an agent asks for one, after looking whether somebody has the number already.",
        scopes=ORGANISATION
        | {f"ZohoCRM.modules.{name}" for name in ("leads.CREATE", "leads.READ", "contacts.READ")}
        | {"ZohoCRM.coql.READ"},
        without="Leads are made in Zoho CRM by hand.",
    ),
    Feature(
        slug="contacts-write",
        title="Keep Zoho contacts up to date",
        purpose="Add, change and delete contacts and leads where your other sides changed, as you chose.",
        scopes=ORGANISATION
        | {f"ZohoCRM.modules.{module}.{verb}" for module in ("contacts", "leads") for verb in VERBS},
        without="Contacts and leads in Zoho CRM are read and never changed.",
        optional=True,
        by_name=True,
    ),
    Feature(
        slug="notifications",
        title="Hear of changes at once",
        purpose="Let Zoho CRM tell us when a contact or lead changes, so that a new number is known within seconds.",
        scopes=frozenset({f"ZohoCRM.notifications.{verb}" for verb in ("CREATE", "UPDATE", "DELETE")}),
        without="Changes in Zoho CRM are noticed at the next regular reading, not at once.",
    ),
    Feature(
        slug="texts",
        title="Log text messages",
        purpose="Write a day's text messages with a customer, and each fax, into Zoho CRM as one completed task.",
        scopes=ORGANISATION
        | {"ZohoCRM.coql.READ"}
        | {f"ZohoCRM.modules.tasks.{verb}" for verb in ("CREATE", "READ", "UPDATE")},
        without="Text messages and faxes are shown here and not written into Zoho CRM.",
        optional=True,
    ),
    Feature(
        slug="notes",
        title="Write a message as a note",
        purpose="Write one message of a mailbox on a record when somebody presses the button for it, and never else.",
        scopes=ORGANISATION
        | {f"ZohoCRM.modules.{name}" for name in ("notes.CREATE", "notes.READ", "contacts.READ", "leads.READ")},
        without="Messages are shown here and cannot be written into Zoho CRM.",
        optional=True,
    ),
    Feature(
        slug="phonebridge",
        title="Call pop-ups in Zoho",
        purpose="Show calls in Zoho's own call bar, dial with a click, and let Zoho write the call itself.",
        # Both are in the documented request: https://www.zoho.com/phonebridge/developer/v3/auth-request.html
        scopes=ORGANISATION | FIND_CALLS | {"PhoneBridge.call.log", "PhoneBridge.zohoone.search"},
        without="Zoho shows no call pop-ups, and numbers in Zoho cannot be dialled with a click.",
        optional=True,
    ),
)


def provider(settings: Settings, http: Http) -> OAuthProvider:
    """Describe Zoho with this installation's client. Its list of data centres is read when first needed."""
    centres = DataCentres(settings.zoho_serverinfo_url, http, timeout=settings.request_timeout_seconds)
    return OAuthProvider(
        slug="zoho",
        title="Zoho",
        client=Client(
            id=settings.zoho_client_id,
            secret=settings.zoho_client_secret,
            secrets=settings.zoho_client_secrets,  # each data centre has its own unless the console says otherwise
        ),
        authorize_url="{home}/oauth/v2/auth",
        token_url="{home}/oauth/v2/token",  # noqa: S106 - an address, not a password
        revoke_url="{home}/oauth/v2/token/revoke",
        revoke_in_query=True,
        features=FEATURES,
        sign_in_scopes=("openid", "email", "profile"),
        scope_separator=",",
        authorize_params={"access_type": "offline", "prompt": "consent"},  # else a second consent brings no refresh
        home=centres.first,
        homes=centres.homes,
        home_from_callback=("location", "accounts-server"),
        keep_from_token=("api_domain",),
        trusted_api=centres.trusts,
        errors_that_end=frozenset({"invalid_code"}),
        errors_that_pass=frozenset({"Access Denied"}),  # too many renewals in ten minutes, not a revocation
    )


def signed_in(http: Http, home: str, token: str, *, timeout: float = 20.0) -> SignedIn:
    """Ask the data centre at `home`, which must be one of the provider's, whose token this is."""

    def only_this(*, renew: bool = False) -> str:
        if renew:
            raise ConsentLost("Zoho does not say who signed in.")
        return token

    told = ZohoClient(http=http, api_domain=home, tokens=only_this, timeout=timeout).read("/oauth/v2/userinfo") or {}
    subject = told.get("sub")
    if not isinstance(subject, str | int) or not str(subject):
        raise TryLater("Zoho did not say who signed in.")
    name = told.get("name") or " ".join(filter(None, (told.get("first_name"), told.get("last_name"))))
    return SignedIn(subject=str(subject), email=str(told.get("email") or ""), name=str(name), extra={"home": home})
