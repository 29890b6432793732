"""What hundreds of tests would make again and again, made once: compiled templates, routes, statements, connections.

Every test still has its own applications, tools and tenants.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from flask import Flask
from flask_smorest.spec import APISpecMixin
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from sqlalchemy import Engine, create_engine
from werkzeug.routing import Rule

from store import database
from store.embedded.postgres import DATABASE

FEW_OBJECTS = 50_000  # a test makes hundreds of thousands, and nearly all go by themselves


class Kept(BytecodeCache):
    """Compiled templates, in memory; Jinja's key has their name and their text."""

    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._code:
            bucket.bytecode_from_string(self._code[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key] = bucket.bytecode_to_string()


class KnownRule(Rule):
    """A route that is read, and whose way of building addresses is compiled, once for all applications it hangs in."""

    read: ClassVar[dict[Any, dict[str, Any]]] = {}
    compiled: ClassVar[dict[Any, Callable[..., tuple[str, str]]]] = {}

    def compile(self) -> None:
        key = (self.rule, self.subdomain, self.host, repr(self.defaults), self.is_leaf, self.merge_slashes)
        if key not in self.read:
            super().compile()
            self.read[key] = {name: getattr(self, name) for name in ("_parts", "_trace", "_converters", "arguments")}
            return
        self.__dict__.update(self.read[key])
        self._build = self._compile_builder(False).__get__(self, None)
        self._build_unknown = self._compile_builder(True).__get__(self, None)

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        key = (self.rule, repr(self.defaults), self.subdomain, self.host, append_unknown)
        if key not in self.compiled:
            self.compiled[key] = super()._compile_builder(append_unknown)
        return self.compiled[key]


class KnownAnswers:
    """What flask-smorest writes down for each of HTTP's sixty statuses, written once."""

    def __init__(self) -> None:
        self._write = APISpecMixin._register_responses
        self._written: dict[str, Any] = {}

    def put_into(self, api: Any) -> None:
        parts = api.spec.components
        if self._written:
            parts.schema("Error", schema=api.ERROR_SCHEMA)  # what they refer to
            parts.responses_lazy.update(self._written)
        else:
            self._write(api)
            self._written.update(parts.responses_lazy)


@pytest.fixture(scope="session", autouse=True)
def once() -> Iterator[None]:
    """Let all tests of a worker share these. What was imported stays, so nobody has to look whether it is garbage."""
    engines: dict[Any, Engine] = {}
    answers = KnownAnswers()

    def engine(address: Any, *, pool_size: int, **told: Any) -> Engine:
        key = (address, pool_size)
        if key not in engines:
            engines[key] = create_engine(address, pool_size=pool_size, **told)
        return engines[key]

    def close(self: database.Database) -> None:
        """Keep what leads to the suite's own database; others are dropped, and nobody may be in them."""
        self._writers.close()
        self._ferry.close()
        if self.engine.url.database != DATABASE:
            self.engine.dispose()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flask, "jinja_options", {"bytecode_cache": Kept()})
        patch.setattr(Flask, "url_rule_class", KnownRule)
        patch.setattr(APISpecMixin, "_register_responses", lambda api: answers.put_into(api))
        patch.setattr(database, "create_engine", engine)
        patch.setattr(database.Database, "close", close)
        gc.freeze()
        gc.enable()
        gc.set_threshold(FEW_OBJECTS)
        yield
    for one in engines.values():
        one.dispose()
