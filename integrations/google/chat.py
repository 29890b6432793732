"""Google Chat: a message of the app in a conversation it is in, said once however often it is sent.

The name we give a message and the id of the request each make a repeat harmless
(https://developers.google.com/workspace/chat/api/reference/rest/v1/spaces.messages/create), so silence means: again.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from domain.errors import NotAllowed, Refused
from integrations.google.discovery import leaf
from integrations.google.remedy import NotThere, Taken, is_ours
from integrations.google.transport import UserHttp, execute


class Left(Refused):
    """The app is not in this conversation (any more)."""

    code = "chat.left"


class GoogleChat:
    """Chat as the app itself, by its service account."""

    def __init__(self, app: UserHttp, root: str = "") -> None:
        self._app = app
        self._messages = leaf(root, "chat", "v1", "spaces.messages")

    def say(self, space: str, message: dict[str, Any], key: UUID) -> None:
        """Put a message into a conversation, once for a key. Raises Left where the app is not there."""
        asked = self._messages.create(parent=space, body=message, messageId=f"client-{key}", requestId=str(key))
        try:
            execute(asked, self._app, repeatable=True)
        except Taken:
            return  # it stands there already
        except NotThere:
            raise Left from None
        except NotAllowed as error:
            if is_ours(error):
                raise
            raise Left from None
