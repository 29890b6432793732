"""Cards drawn the way a host draws them, near enough to see what a person will see: a page of telephones side by side.

One style sheet, no script, no picture from elsewhere: icons are drawn as signs, those nobody drew yet as a dot.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from .hosts import cards

Json = Mapping[str, Any]
MARKUP = re.compile(r"&lt;(/?(?:b|i|u)|font color=&quot;#[0-9a-f]{6}&quot;|/font)&gt;")
SIGNS = {
    "call": "✆",
    "call_made": "↗",
    "call_received": "↙",
    "phone_missed": "↯",
    "voicemail": "⌾",
    "edit_note": "✎",
    "sms": "✉",
    "send": "➤",
    "schedule": "◷",
    "person": "☻",
    "person_outline": "☺",
    "person_add": "☺+",
    "open_in_new": "↗",
    "search": "⌕",
    "error": "!",
    "hourglass_top": "…",
    "refresh": "↻",
    "task_alt": "✓",
    "help": "?",
    "history": "↺",
    "login": "→",
    "find_in_page": "⌕",
    "ring_volume": "✆",
    "dialpad": "⠿",
}
STYLE = """
*{box-sizing:border-box}body{margin:0;padding:24px;background:#f1f3f4;font:14px/20px Roboto,Arial,"Noto Sans",
sans-serif;color:#202124;display:flex;flex-wrap:wrap;gap:24px;align-items:flex-start}
figure{margin:0;width:360px;background:#fff;border-radius:8px;box-shadow:0 1px 3px #0003;overflow:hidden}
figcaption{font-size:12px;color:#5f6368;padding:6px 16px;background:#e8eaed}
header{padding:16px}h1{font-size:16px;line-height:24px;font-weight:500;margin:0}header p{margin:0;color:#5f6368}
section{border-top:1px solid #e8eaed;padding:12px 16px}h2{font-size:14px;font-weight:500;margin:0 0 8px}
.row{display:flex;gap:16px;align-items:center;padding:8px 0}.row>div{flex:1;min-width:0}
.row .i{width:20px;color:#5f6368;text-align:center}.small{font-size:12px;line-height:16px;color:#5f6368;display:block;
white-space:nowrap;overflow:hidden;text-overflow:ellipsis}.press{cursor:pointer}
.buttons{display:flex;flex-wrap:wrap;gap:8px;padding:6px 0}
.b{border:1px solid #dadce0;border-radius:16px;padding:5px 14px;color:#1a73e8;font-weight:500;background:#fff}
.b.FILLED{background:#1a73e8;color:#fff;border-color:#1a73e8}.b.BORDERLESS{border-color:transparent}
.b.bare{padding:5px 9px;border-radius:50%}
label{display:block;font-size:12px;color:#5f6368;padding:8px 0}
.f{display:block;border:1px solid #80868b;border-radius:4px;padding:8px 12px;font-size:14px;color:#202124;
min-height:38px;white-space:pre-wrap}.f.long{min-height:88px}.f.hint{color:#9aa0a6}
footer{border-top:1px solid #e8eaed;padding:12px 16px;display:flex;gap:8px}
pre{margin:0;padding:16px;white-space:pre-wrap;font-size:12px;line-height:16px;overflow-wrap:anywhere}p{margin:4px 0}
"""


def page(shown: Sequence[tuple[str, Json]], direction: str = "ltr") -> str:
    """Draw every answer that was kept."""
    figures = "".join(
        f"<figure><figcaption>{escape(name)}</figcaption>{''.join(_answer(answer))}</figure>" for name, answer in shown
    )
    way = "rtl" if direction == "rtl" else "ltr"
    return (
        f'<!doctype html><html lang="en" dir="{way}"><meta charset="utf-8"><meta name="viewport" content="width=device-'
        f'width"><title>Cards (understudy)</title><style>{STYLE}</style><body>{figures}</body></html>'
    )


def _answer(answer: Json) -> Iterator[str]:
    drawn = False
    for text in _notices(answer):
        drawn = True
        yield f"<pre>{escape(text)}</pre>"
    for card in cards(answer):
        drawn = True
        yield _card(card)
    if not drawn:
        yield f"<pre>{escape(str(answer))}</pre>"


def _notices(value: Any) -> Iterator[str]:
    """Lines in passing, and what is said beside a card in Chat."""
    if isinstance(value, Mapping):
        notification = value.get("notification")
        if isinstance(notification, Mapping):
            yield str(notification.get("text", ""))
        message = value.get("message")
        if isinstance(message, Mapping) and message.get("text"):
            yield str(message["text"])
        for name, each in value.items():
            if name not in ("pushCard", "updateCard", "card"):
                yield from _notices(each)


def _card(card: Json) -> str:
    header = card.get("header", {})
    subtitle = f"<p>{escape(header['subtitle'])}</p>" if header.get("subtitle") else ""
    parts = [f"<header><h1>{escape(str(header.get('title', '')))}</h1>{subtitle}</header>"]
    for section in card.get("sections", []):
        title = f"<h2>{escape(section['header'])}</h2>" if section.get("header") else ""
        many = section.get("uncollapsibleWidgetsCount") or len(section["widgets"])
        widgets = "".join(_widget(widget) for widget in section["widgets"][:many])
        more = '<p class="small">⌄</p>' if many < len(section["widgets"]) else ""
        parts.append(f"<section>{title}{widgets}{more}</section>")
    if foot := card.get("fixedFooter"):
        parts.append(f"<footer>{''.join(_button(button) for button in foot.values())}</footer>")
    return "".join(parts)


def _widget(widget: Json) -> str:
    ((kind, told),) = widget.items()
    if kind == "textParagraph":
        return f"<p>{_marked(told['text'])}</p>"
    if kind == "decoratedText":
        icon = _icon(told.get("startIcon"))
        above = f'<span class="small">{escape(told["topLabel"])}</span>' if told.get("topLabel") else ""
        below = f'<span class="small">{escape(told["bottomLabel"])}</span>' if told.get("bottomLabel") else ""
        button = _button(told["button"]) if told.get("button") else ""
        start = f'<span class="i">{icon}</span>' if icon else ""
        return f'<div class="row">{start}<div>{above}{_marked(told["text"])}{below}</div>{button}</div>'
    if kind == "buttonList":
        return f'<div class="buttons">{"".join(_button(button) for button in told["buttons"])}</div>'
    return _input(kind, told)


def _input(kind: str, told: Json) -> str:
    value, extra = str(told.get("value", "")), ""
    if kind == "selectionInput":
        value = next((item["text"] for item in told["items"] if item.get("selected")), "") + "  ▾"
    elif kind == "dateTimePicker":
        value = f"{datetime.fromtimestamp(int(told.get('valueMsEpoch', 0)) / 1000, UTC):%Y-%m-%d  %H:%M}"
    elif not value:
        value, extra = str(told.get("hintText", "")), " hint"
    long = " long" if told.get("type") == "MULTIPLE_LINE" else ""
    return f'<label>{escape(told["label"])}<span class="f{long}{extra}">{escape(value)}</span></label>'


def _button(button: Json) -> str:
    icon, text = _icon(button.get("icon")), escape(button.get("text", ""))
    bare = "" if text else " bare"
    return f'<span class="b {escape(button.get("type", ""))}{bare}">{icon}{" " if icon and text else ""}{text}</span>'


def _icon(icon: Any) -> str:
    name = icon.get("materialIcon", {}).get("name", "") if isinstance(icon, Mapping) else ""
    return SIGNS.get(name, "•") if name else ""


def _marked(text: str) -> str:
    """The little HTML a card may hold; everything else of it is text."""
    once = text.replace("&lt;", "\x01").replace("&gt;", "\x02").replace("&amp;", "\x03")
    shown = MARKUP.sub(lambda tag: f"<{tag[1]}>".replace("&quot;", '"'), escape(once))
    return shown.replace("\x01", "&lt;").replace("\x02", "&gt;").replace("\x03", "&amp;")
