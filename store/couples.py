"""An address book and the CRM it agrees with, and which rows of links and pairs are theirs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Column, ColumnElement, and_, literal_column

from domain.besides import SOURCES
from domain.threeway import Side
from store.database import TenantId, among
from store.tables import pairs

ASIDE = tuple(one.module for one in SOURCES)  # of an address book, and kept in step with nobody


@dataclass(frozen=True, slots=True)
class Couple:
    """A CRM and an address book whose people shall agree; `modules`: where the CRM keeps people."""

    tenant: TenantId
    crm: UUID
    book: UUID
    modules: tuple[str, ...]

    def at(self, side: Side) -> UUID:
        return self.crm if side == "left" else self.book


def of_couple(couple: Couple) -> tuple[ColumnElement[bool], ...]:
    return (pairs.c.tenant_id == couple.tenant, pairs.c.book_id == couple.book, pairs.c.crm_id == couple.crm)


def of_side(couple: Couple, side: Side, table: Any) -> tuple[ColumnElement[bool], ...]:
    """The links of one side that take part."""
    mine = (table.c.tenant_id == couple.tenant, table.c.connection_id == couple.at(side))
    return (*mine, table.c.module.in_(couple.modules) if side == "left" else table.c.module.not_in(ASIDE))


def aside(state: ColumnElement[bool]) -> tuple[ColumnElement[bool], ...]:
    """Whether a pair is one of the few that wait or are left out, in the very words of the index that holds them."""
    return (pairs.c.state != literal_column("''"), state)


def somebody(side: Side) -> ColumnElement[bool]:
    """Whether a pair has anybody on a side, in the very words of the index that leaves out who has not."""
    return name_at(side) != literal_column("''")


def named(side: Side, names: Collection[str]) -> ColumnElement[bool]:
    """Whether a pair's record on a side has one of these names."""
    return and_(somebody(side), among(name_at(side), names))


def name_at(side: Side) -> Column[Any]:
    return pairs.c.left_id if side == "left" else pairs.c.right_id


def module_at(side: Side) -> Column[Any]:
    return pairs.c.left_module if side == "left" else pairs.c.right_module
