"""The people in Alice's and Charlie's address books: the same ones every time, in many scripts and messy spellings.

How many different people they are is counted here from how they were made, not by the rules that match them.
Numbers come from the ranges regulators keep for fiction, so nobody is rung by accident.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

CONTACTS, LEADS, GOOGLE = 350, 150, 300
LEADS_WHO_ARE_CONTACTS = 10
IN_BOTH = 100  # people of Zoho whom Google has as well
WITHOUT_NUMBER = 11  # Google's, with an address only or with words where a number should be

NAMES = (  # given names, then family names, a line for each script or language
    ("Zoë Dolores Íñigo Begoña Nuño", "Achterberg Muñoz Núñez Ibáñez Peñalver"),
    ("Siobhán Ciarán Aoife Pádraig Niamh", "O’Brien O’Neill Ní-Dhomhnaill MacGabhann Ó-Súilleabháin"),
    ("Jürgen Käthe Björn Åsa Søren", "Müller-Lüdenscheidt Groß Ångström Øvergård Þórsson"),
    ("Łukasz Żaneta Jiří Šárka Ištván", "Wójcik Dvořák Kovács Škoda Źdźbło"),
    ("Елена Юрий Марія Олексій Ганна", "Соколова Щербаков Ковальчук Їжакевич Ёлкина"),
    ("Ελένη Γιώργος Αθηνά Νίκος Ήρα", "Παπαδοπούλου Ξενάκης Οικονόμου Ψαρρός Ωραιόπουλος"),
    ("אברהם נועה יעל דוד תמר", "כהן לוי מזרחי פרץ שפירא"),
    ("فاطمة يوسف ليلى عمر هبة", "المصري الحسيني بن-علي النجار القاسم"),
    ("आशा विजय प्रिया अर्जुन मीरा", "शर्मा पटेल गुप्ता सिंह अय्यर"),
    ("伟 秀英 娜 芳 敏", "王 李 张 刘 欧阳"),
    ("さくら 健太 美咲 翔 陽子", "佐藤 鈴木 高橋 渡辺 小林"),
    ("지민 서연 민준 하은 도윤", "김 이 박 최 남궁"),
    ("สมชาย สุดา อนันต์ มาลี ชัย", "ศรีสุข ทองดี แสงจันทร์ วงศ์ใหญ่ ใจดี"),
    ("Ngọc Đức Thảo Hưng Ánh", "Nguyễn Trần Phạm Đặng Vũ"),
    ("Ayşe Çağrı Işıl Ömer Şule", "Yılmaz Öztürk Güneş Çelik Doğan"),
)
COMPANIES = (
    "Panadería Sol",
    "Müller & Söhne GmbH",
    "Café Ångström",
    "ООО «Север»",
    "東京印刷",
    "Ταβέρνα Η Θέα",
    "מאפיית השחר",
    "مطبعة النيل",
    "Bäckerei Groß",
    "L’Atelier d’Éloïse",
    "Smith, Smith & Smith",
    "Łódź Logistics",
)
HOME = "34"  # whose numbers Alice's people write without a country code


@dataclass(frozen=True, slots=True)
class Number:
    """A telephone number: country code and the rest."""

    country: str
    rest: str

    @property
    def e164(self) -> str:
        return f"+{self.country}{self.rest}"

    def spelt(self, style: int) -> str:
        """Write it as people do, in one of many ways; every one of them is the same number."""
        groups = " ".join(self.rest[at : at + 3] for at in range(0, len(self.rest), 3))
        if self.country == HOME:
            return (
                groups,
                f"{groups.replace(' ', '.')} ext. 12",
                f"{self.rest[:3]} {self.rest[3:5]} {self.rest[5:7]} {self.rest[7:]}",
                f"00{self.country} {groups}",
            )[style // 4 % 4]
        return (
            f"+{self.country} {groups}",
            f"+{self.country} (0){groups}",
            f"(+{self.country}) {groups.replace(' ', '.')}",
            f"tel:+{self.country}-{groups.replace(' ', '-')}",
            f"00 {self.country} {groups}",
            self.e164,
            f"+{self.country} {groups} ext. 7",
            f"+{self.country}\N{NO-BREAK SPACE}{groups.replace(' ', chr(0x2011))}",
        )[style % 8]


@dataclass(frozen=True, slots=True)
class Somebody:
    """One person, whoever knows them."""

    place: int
    given: str
    family: str
    company: str

    @property
    def name(self) -> str:
        return f"{self.given} {self.family}"

    @property
    def email(self) -> str:
        return f"person.{self.place}@company-{self.place % len(COMPANIES)}.example"

    @property
    def number(self) -> Number:
        """Numbers kept for films in London, French, German and Spanish ones."""
        turn = self.place // 4
        return (
            Number("44", f"7700900{turn:03d}"),
            Number("33", f"63998{turn:04d}"),
            Number("49", f"3023125{turn:03d}"),
            Number(HOME, f"600550{turn:03d}"),
        )[self.place % 4]

    @property
    def second(self) -> Number | None:
        """Every fifth person has another line."""
        return Number("44", f"2079460{self.place // 5:03d}") if self.place % 5 == 0 else None


@dataclass(frozen=True, slots=True)
class Books:
    """What Alice's company has in Zoho and what she has in Google, and how many people that is."""

    contacts: list[dict[str, Any]]
    leads: list[dict[str, Any]]
    google: list[dict[str, Any]]

    records = CONTACTS + LEADS + GOOGLE
    people = records - LEADS_WHO_ARE_CONTACTS - IN_BOTH
    with_number = people - WITHOUT_NUMBER
    only_in_google = GOOGLE - IN_BOTH


def somebody(place: int) -> Somebody:
    """The person at a place; the first is Zoë, who rings."""
    given, family = (part.split() for part in NAMES[place % len(NAMES)])
    turn = place // len(NAMES)
    return Somebody(
        place,
        given[turn % len(given)],
        family[(turn // len(given) + turn) % len(family)],
        COMPANIES[place % len(COMPANIES)],
    )


ZOE = somebody(0)  # in Zoho and in Google; she rings, and writes
MOVER = somebody(7)  # gets another number
LEAVER = somebody(8)  # is deleted in Zoho
MOVED_TO = Number("44", "7700900999")


def books(now: datetime, owner: str) -> Books:
    """Write Alice's address books; `owner` owns every second record in Zoho."""
    zoho = CONTACTS + LEADS - LEADS_WHO_ARE_CONTACTS  # people
    contacts = [_contact(somebody(place), now, owner) for place in range(CONTACTS)]
    twins = range(20, 20 + LEADS_WHO_ARE_CONTACTS)  # people who are a contact and asked again as a lead
    leads = [_lead(somebody(place), now, owner, 3) for place in twins]
    leads += [_lead(somebody(place), now, owner) for place in range(CONTACTS, zoho)]
    shared = [0, *range(100, 99 + IN_BOTH)]
    google = [_google(somebody(place), other_spelling=True) for place in shared]
    google += [_google(somebody(place)) for place in range(zoho, zoho + GOOGLE - IN_BOTH - WITHOUT_NUMBER)]
    google += list(_without_number(zoho + GOOGLE - IN_BOTH - WITHOUT_NUMBER))
    return Books(contacts, leads, google)


def _changed(place: int, now: datetime) -> str:
    """When a record was last touched: some time in the last months, so that only real changes are new."""
    return (now.astimezone(UTC) - timedelta(days=1, hours=place * 3)).isoformat(timespec="seconds")


def _contact(who: Somebody, now: datetime, owner: str) -> dict[str, Any]:
    row = {
        "First_Name": who.given,
        "Last_Name": who.family,
        "Phone": who.number.spelt(who.place),
        "Email": who.email,
        "Account_Name": who.company,  # the cast turns it into the account's id
        "Modified_Time": _changed(who.place, now),
    }
    if who.second:
        row["Mobile"] = who.second.spelt(who.place // 5)
    return row | ({"Owner": owner} if who.place % 2 == 0 else {})


def _lead(who: Somebody, now: datetime, owner: str, other: int = 0) -> dict[str, Any]:
    return {
        "First_Name": who.given,
        "Last_Name": who.family,
        "Company": who.company,
        "Mobile": who.number.spelt(who.place + other),
        "Email": f"sales-{who.email}" if other else who.email,
        "Modified_Time": _changed(who.place, now),
    } | ({"Owner": owner} if who.place % 2 == 0 else {})


def _google(who: Somebody, *, other_spelling: bool = False) -> dict[str, Any]:
    """A Google contact; one whom Zoho knows too has the number spelt another way, or only the address in capitals."""
    card: dict[str, Any] = {"names": [{"givenName": who.given, "familyName": who.family}]}
    by_address = other_spelling and who.place % 3 == 1
    if not by_address:
        card["phoneNumbers"] = [{"value": who.number.spelt(who.place + 2 * other_spelling), "type": "mobile"}]
    if by_address or not other_spelling:
        card["emailAddresses"] = [{"value": who.email.upper() if by_address else who.email, "type": "work"}]
    return card


def _without_number(first: int) -> Iterator[dict[str, Any]]:
    for place in range(first, first + WITHOUT_NUMBER):
        who = somebody(place)
        card: dict[str, Any] = {
            "names": [{"givenName": who.given, "familyName": who.family}],
            "emailAddresses": [{"value": who.email}],
        }
        if place % 2:
            card["phoneNumbers"] = [{"value": "ask at reception"}]
        yield card
