"""Telephone numbers: one spelling for each, and an honest word for what is not one.

Numbers in a CRM are free text. `read` keeps the raw text beside what it means; nothing is silently dropped.
The library's "is possible" decides what is accepted: "is valid" refuses real numbers its tables do not know yet. What
is possible only within a town ("local only") is not enough: its E.164 would be somebody else's number, or nobody's.
Where a country has changed its numbers, the old spelling becomes the new one, so that one key finds the subscriber;
`variants` is for where no rule can tell. A vendor that sends international digits without the plus puts it back
before it asks here: only the vendor knows that "442079460001" was never dialled from the tenant's own country.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import unquote

import phonenumbers
from phonenumbers import CountryCodeSource, PhoneNumber, PhoneNumberFormat, PhoneNumberType, ValidationResult

from domain.plain_number import plain

Kind = Literal["number", "extension", "anonymous", "unknown"]
HIDDEN = frozenset(
    {"", "anonymous", "restricted", "private", "unavailable", "unknown", "withheld", "blocked"}
    | {"private number", "unknown number", "number withheld", "withheld number", "no caller id"}
)
# A carrier writes "nobody" in letters of the keypad: +266696687 is ANONYMOUS. Two of these would pass as possible.
SPELT = frozenset(
    f"+{phonenumbers.convert_alpha_characters_in_number(word.upper())}" for word in HIDDEN if word.isalpha()
)
REMEMBERED = 16_384  # readings: those of a few thousand people, in some megabytes however many there are
EXTENSION_DIGITS = 6  # a run of at most this many digits that cannot be a number is an inside line
LONGEST = 200  # characters; the library reads no more than 250, and half a number would be somebody else's

PLUS = re.compile(r"^\+\s*(?:00|011)(?=[\s(.-]*[1-9])|^\(?(?:00|011)[\s)]*\+")  # no country code begins with 0
FLOAT = re.compile(r"(\+?[0-9]{7,})\.0")  # a spreadsheet took the number for an amount ...
SCIENTIFIC = re.compile(r"[0-9][.,][0-9]+E\+?[0-9]+", re.I)  # ... or for a large one, and the rest of it is lost
SCHEME = re.compile(r"(?:^|<)\s*(sips?|tel|callto):/*([^>]*)", re.I)
USER = re.compile(r"\+?[0-9().\s*#-]+(?:;ext=[0-9]+)?|[0-9]+x[0-9]+", re.I)  # of a SIP address, where it is a number
LABEL = re.compile(r"^[^\W\d_][^\d:+]*[0-9]?\s*:\s*(?=[+(0-9])")  # "Tel. 2: 020 ..."
OH = re.compile(r"(?<=[0-9])[Oo]+(?=[\s0-9]|$)|(?<=\s)[Oo]+(?=[0-9])")  # typed for a zero
# How people mark an inside line. The library knows a few of these; the others it would take for digits of the number.
INSIDE = re.compile(
    r"[\s(,;./-]*(?<![^\W\d_])(?:ext(?:n|ension|ensión)?|x|durchwahl|dw|nebenstelle|nst|anexo|ramal|int(?:erno)?|"
    r"poste|toestel|tst|anknytning|ankn|wewn?|linka|mellék|dahili|klapka|loc(?:al)?|доб(?:авочный)?|доп|вн|[内內][線线]|分[机機]|转|轉|내선|"
    r"تحويلة|داخل[يی]|שלוחה)[\s.:=)]*([0-9]{1,9})[\s)]*$",
    re.I,
)
BREAKS = re.compile(r"[^\W\d_]+|[/;|,&\n]")  # where a number ends and a note, or another number, begins
FILLER = re.compile(r"([0-9])\1{6,}|0?123456789[0-9]?|9876543210")  # typed where a form insisted: nobody's, and many's
NO_DIGIT = re.compile(r"\D+")
LETTERS = re.compile(r"[A-Za-z]")
ALPHABETIC = re.compile(r"[^\W\d_]")
WHOLE_DIGITS = 10  # so many before a note are a number although the tables do not know it (a test range)
VANITY_LETTERS = 3  # from here on the library turns letters into digits
WORD = re.compile(r"[A-Za-z]{4}")  # the shortest word worth a number of one's own: an American line has four digits
SOLD_BY_WORD = frozenset(
    {PhoneNumberType.TOLL_FREE, PhoneNumberType.SHARED_COST, PhoneNumberType.PREMIUM_RATE, PhoneNumberType.UAN}
)
BY_AREA = frozenset({PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})
NORTH_AMERICA = 1

# Spellings no longer, or never, right: national digits as written -> as they are now. Tried only on what is not valid.
HABITS: Mapping[int, tuple[tuple[str, str], ...]] = {
    # Italy's fixed lines keep their zero after +39, its mobiles have lost theirs (below): people mix them up.
    39: ((r"([1-9]\d{6,9})", r"0\1"),),
    # Mexico until August 2019: 01 before any number, 044 or 045 and, from abroad, 1 before a mobile.
    52: ((r"0?1(\d{10})", r"\1"), (r"04[45](\d{10})", r"\1")),
    # Argentina: 9 (from abroad) and 15 (from home) say the same; never both.
    54: ((r"9(\d\d)15(\d{8})", r"9\1\2"), (r"9(\d{3})15(\d{7})", r"9\1\2"), (r"9(\d{4})15(\d{6})", r"9\1\2")),
    # Brazil's ninth digit, before every mobile: https://www.zoko.io/learning-article/whatsapp-id-brazil-mexico
    55: ((r"(\d\d)([689]\d{7})", r"\g<1>9\2"),),
    # Colombia: 60 before a fixed line's area since September 2021: https://github.com/vtex/front.phone/pull/78
    57: ((r"([1-8]\d{7})", r"60\1"),),
    # Benin: 01 before everything since 30 November 2024: https://github.com/mobi/telephone_number/issues/138
    229: ((r"(\d{8})", r"01\1"),),
}
# The same subscriber, spelt so that no rule can choose: what the number alone does not say, somebody else may have
# written down. https://support.whapi.cloud/help-desk/faq/specifics-of-sending-messages-to-numbers-of-different-countries
VARIANTS = tuple(
    (re.compile(pattern), other)
    for pattern, other in (
        (r"\+549([1-3]\d{9})", r"+54\1"),  # Argentina: a mobile as some carriers send it
        (r"\+54([1-3]\d{9})", r"+549\1"),  # fixed or mobile: the digits do not say
        (r"\+55(\d\d)9([6-9]\d{7})", r"+55\1\2"),  # Brazil: before the ninth digit, and as WhatsApp still says
        (r"\+55(\d\d)([6-9]\d{7})", r"+55\g<1>9\2"),  # with 7 it may also be a trunked radio, which has kept eight
        (r"\+521(\d{10})", r"+52\1"),  # Mexico: as it is
        (r"\+52([2-9]\d{9})", r"+521\1"),  # Mexico: as it was
    )
)

# Otherwise numbers of forty countries have the tables' patterns compiled again and again, ten times as dear as reading:
# `re` keeps 512 of them. All there are take a megabyte.
phonenumbers.enable_pattern_cache()


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written and as meant. `e164` is empty unless `kind` is "number".

    "extension" is a few digits that are nobody's number outside: an inside line or a service everybody has (112).
    Digits alone cannot tell these apart (101 is Bob's desk, and the police in India); neither is ever a contact.
    """

    raw: str
    kind: Kind
    e164: str = ""
    extension: str = ""


@lru_cache(maxsize=REMEMBERED)
def read(raw: str, region: str = "US") -> Number:
    """Understand `raw` as dialled from `region` (ISO 3166 alpha-2); never raises.

    >>> read("020 7946 0001", "GB").e164
    '+442079460001'
    >>> read("201", "US").kind
    'extension'
    """
    if (e164 := plain(raw, region.upper())) and e164 not in SPELT:
        return Number(raw, "number", e164=e164)
    return read_closely(raw, region)


def read_closely(raw: str, region: str) -> Number:
    """Understand what needs more than a glance, or anything else: `read` says the same, sooner where it is plain."""
    text = _plain(raw)
    if text.casefold() in HIDDEN:
        return Number(raw, "anonymous")
    if text.startswith(("*", "#")) or text in SPELT or len(text) > LONGEST or SCIENTIFIC.fullmatch(text):
        return Number(raw, "unknown")  # a star is a service code, whatever digits follow
    inside = INSIDE.search(text) if ALPHABETIC.search(text) else None  # dear, and no mark is without a letter
    body, extension = (text[: inside.start()], inside[1]) if inside else (text, "")
    if (parsed := _meant(body, region.upper())) is not None:
        e164 = phonenumbers.format_number(parsed, PhoneNumberFormat.E164)
        return Number(raw, "number", e164=e164, extension=extension or parsed.extension or "")
    digits = _digits(body) or extension
    return Number(raw, "extension", extension=digits) if 0 < len(digits) <= EXTENSION_DIGITS else Number(raw, "unknown")


@lru_cache(maxsize=REMEMBERED)
def shown(e164: str) -> str:
    """Write an E.164 number the way people read it; anything else comes back as it was."""
    try:
        return phonenumbers.format_number(phonenumbers.parse(e164), PhoneNumberFormat.INTERNATIONAL)
    except phonenumbers.NumberParseException:
        return e164


@lru_cache(maxsize=REMEMBERED)
def variants(e164: str) -> tuple[str, ...]:
    """Other E.164 spellings of the same subscriber, as CRMs and carriers hold them, the likeliest first.

    >>> variants("+541123456789")
    ('+5491123456789',)
    """
    return tuple(found.expand(other) for pattern, other in VARIANTS if (found := pattern.fullmatch(e164)))


def spellings(e164: str) -> tuple[str, ...]:
    """The usual ways people write a number down, for where only text can be compared.

    >>> spellings("+442079460001")
    ('+442079460001', '+44 20 7946 0001', '020 7946 0001', '02079460001', '442079460001')
    """
    try:
        parsed = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return (e164,)
    national = phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL)
    return tuple(dict.fromkeys((e164, shown(e164), national, _digits(national), e164.removeprefix("+"))))


def _plain(raw: str) -> str:
    """The text without its wrapping: full-width and other scripts' digits, invisible marks, schemes, SIP addresses."""
    text = raw[: 2 * LONGEST]
    if not text.isascii():
        text = "".join(
            str(unicodedata.decimal(one)) if one.isdecimal() else one
            for one in unicodedata.normalize("NFKC", text)
            if unicodedata.category(one) != "Cf"  # marks of direction, pasted along with a number from an address book
        )
    text = text.strip()
    scheme = SCHEME.search(text)
    address = scheme[2].strip() if scheme else text
    if (scheme and scheme[1][:3].casefold() == "sip") or "@" in address:
        user, at, _ = unquote(address).partition("@")
        user = user if ";ext=" in user else user.partition(";")[0]
        if user.casefold() in HIDDEN:
            return "anonymous"
        by_number = USER.fullmatch(user) and (at or not user.count("."))  # without an @ it may be a host: 192.0.2.7
        return user if by_number else "?"  # a name, whatever digits are in it, is not a number
    whole = FLOAT.fullmatch(address)
    return PLUS.sub("+", OH.sub(lambda ohs: "0" * len(ohs[0]), LABEL.sub("", whole[1] if whole else address)))


def _meant(text: str, region: str) -> PhoneNumber | None:
    """The number a text stands for; None when there is none, or only one within a town or a house."""
    start = re.search(r"[+0-9]", text)
    if start is None:
        return None
    text = text[start.start() :]
    parsed = _parsed(text, region)
    lettered = len(LETTERS.findall(text)) >= VANITY_LETTERS
    if parsed is not None and not lettered and (one := _one_spelling(parsed)) is not None:
        return None if _inside(parsed, one, text) else one
    if (one := _before_note(text, region)) is not None:
        return one
    return _by_word(parsed, text) if parsed is not None and lettered else None


def _before_note(text: str, region: str) -> PhoneNumber | None:
    """The first number of a text, when a note or a second number comes behind it."""
    alone = next((piece for piece in BREAKS.split(text) if _digits(piece)), "")
    if alone == text or (parsed := _parsed(alone, region)) is None:
        return None
    one = _one_spelling(parsed)
    if one is None or _inside(parsed, one, alone):
        return None
    return one if phonenumbers.is_valid_number(one) or len(_digits(alone)) >= WHOLE_DIGITS else None


def _parsed(text: str, region: str) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(text, region, keep_raw_input=True)  # which also keeps how the country was told
    except phonenumbers.NumberParseException:
        return None


def _one_spelling(parsed: PhoneNumber) -> PhoneNumber | None:
    """As written where that is valid, else as people should have written it, else as written where it is possible."""
    if phonenumbers.is_valid_number(parsed):
        return parsed
    spellings = [parsed, *_mended(parsed)]
    for one in spellings:
        if phonenumbers.is_valid_number(one):
            return one
    if phonenumbers.is_valid_short_number(parsed):  # +49 116117: everybody's, from nowhere but Germany
        return None
    if not parsed.national_number or FILLER.fullmatch(phonenumbers.national_significant_number(parsed)):
        return None
    return next((one for one in spellings if _possible(one) and _stable(one)), None)


def _possible(one: PhoneNumber) -> bool:
    """Long enough for a subscriber outside the town. Brazil's eight digits are "possible" only as its 4004 0000."""
    if phonenumbers.region_code_for_country_code(one.country_code or 0) == phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY:
        return phonenumbers.is_possible_number_with_reason(one) == ValidationResult.IS_POSSIBLE
    anybody = PhoneNumberType.FIXED_LINE_OR_MOBILE
    return phonenumbers.is_possible_number_for_type_with_reason(one, anybody) == ValidationResult.IS_POSSIBLE


def _stable(one: PhoneNumber) -> bool:
    """Whether its E.164 reads as itself. +46 00 16 66 42 would lose a zero each time."""
    e164 = phonenumbers.format_number(one, PhoneNumberFormat.E164)
    again = _parsed(e164, "")
    return again is not None and phonenumbers.format_number(again, PhoneNumberFormat.E164) == e164


def _mended(parsed: PhoneNumber) -> Iterator[PhoneNumber]:
    """What may have been meant: by the country's habits, and without a zero that belongs to another country."""
    national = phonenumbers.national_significant_number(parsed)
    for digits in (national, national.lstrip("0")):
        rules = HABITS.get(parsed.country_code or 0, ())
        mended = (found.expand(now) for pattern, now in rules if (found := re.fullmatch(pattern, digits)))
        for candidate in (*mended, digits):
            if (one := _parsed(f"+{parsed.country_code}{candidate}", "")) is not None:
                one.extension = parsed.extension
                yield one


def _inside(parsed: PhoneNumber, one: PhoneNumber, text: str) -> bool:
    """Whether a few bare digits are an inside line although the country's plan has room for such a number."""
    digits = _digits(text)
    if len(digits) > EXTENSION_DIGITS or parsed.country_code_source != CountryCodeSource.FROM_DEFAULT_COUNTRY:
        return False
    if not phonenumbers.is_valid_number(one):
        return True
    at_home = _digits(phonenumbers.format_number(one, PhoneNumberFormat.NATIONAL))
    return len(at_home) > len(digits)  # Vienna's 2345 is written 01 2345 there, never 1 2345


def _by_word(parsed: PhoneNumber, text: str) -> PhoneNumber | None:
    """A number spelt as a word: believed only where numbers are sold so, since "234 5678 Bob" spells one too."""
    one = PhoneNumber()
    one.merge_from(parsed)
    phonenumbers.truncate_too_long_number(one)  # 1-800-CONTACTS: the exchange ignores what comes after ten digits
    kind = phonenumbers.number_type(one)
    if kind in SOLD_BY_WORD or (one.country_code == NORTH_AMERICA and kind in BY_AREA and WORD.search(text)):
        return one
    return None


def _digits(text: str) -> str:
    return NO_DIGIT.sub("", text)
