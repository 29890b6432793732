"""Somebody spoke to us in Chat: a command, a greeting, a button. In a space others read, the answer is theirs alone."""

from __future__ import annotations

from domain import phone
from integrations.google.cards.event import Chat
from integrations.google.cards.pages import asides, calls, who
from integrations.google.cards.pieces import Json
from integrations.google.hosts import CALL, CALLS
from jobs import chat_spaces
from jobs.cards import look, presses
from jobs.cards.reader import Reader


def answer(reader: Reader, chat: Chat) -> Json:
    """Always answer something; a space we were taken out of wants nothing."""
    if chat.what == "removed":
        chat_spaces.left(reader.services, reader.user, chat.space)
        return {}
    told = chat.alone and chat_spaces.learn(reader.services, reader.user, chat.space, reader.words.language)
    if chat.what == "added":
        said = [reader.words("hello"), *([reader.words("hello.news")] if told else [])]
        return reader.envelope.say(" ".join(said))
    if chat.what == "pressed":
        return presses.answer(reader)
    if chat.what == "command" and chat.command == CALL:
        return call(reader, chat)
    if chat.what == "command" and chat.command == CALLS:
        return reader.envelope.show(calls.chat(look.home(reader), reader.words))
    return reader.envelope.show(asides.help_(reader.words))


def call(reader: Reader, chat: Chat) -> Json:
    """Ring for a number, or for the one person of that name who has one number; else show whom there is."""
    words, whom = reader.words, chat.text
    if not whom:
        return reader.envelope.say(words("call.whom.none"))
    key = f"chat {chat.at} {whom}"  # the same when Chat tells us again
    if phone.read(whom, reader.tenant.region).kind in ("number", "extension"):
        return presses.ring(reader, whom, key)
    found = look.find(reader, whom)
    if len(found) == 1 and len(found[0].numbers) == 1:
        return presses.ring(reader, found[0].numbers[0].number, key, found[0].name)
    if len(found) == 1:
        return reader.envelope.show(who.person(found[0], words))
    title = words("found", what=whom[:60])
    none = words("found.none", what=whom[:60])
    return reader.envelope.show(who.people(found, words, title, none=none, name="found"))
