"""`python -m bench [NAME ...] [--json]`: measure everything or the named parts, and print a table."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from bench import cards, chaos, contacts, hangups, intake, lookup, mail, pops, vault
from bench.house import House, house
from bench.measure import Row, table

PARTS: Mapping[str, Callable[[House], Iterator[Row]]] = {
    "intake": intake.measure,
    "lookup": lookup.measure,
    "pops": pops.measure,
    "hangups": hangups.measure,
    "cards": cards.measure,
    "vault": vault.measure,
    "mail": mail.measure,
    "contacts": contacts.measure,
    "chaos": chaos.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description="Print how fast Linekeeper is on this machine, now.")
    parser.add_argument("part", nargs="*", help=f"what to measure: {', '.join(PARTS)} (all of it when left out)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--people", type=int, default=contacts.PEOPLE, help="how many `contacts` brings in")
    chosen = parser.parse_args()
    parts: dict[str, Callable[[House], Iterator[Row]]] = {**PARTS}
    parts["contacts"] = partial(contacts.measure, people=chosen.people)
    if unknown := sorted({*chosen.part} - {*PARTS}):
        parser.error(f"nothing here is called {', '.join(unknown)}")
    load = os.getloadavg()[0]
    with house() as here:
        rows = [row for name in chosen.part or parts for row in parts[name](here)]
    if chosen.json:
        json.dump([row.as_data() for row in rows], sys.stdout, indent=2)
        print()
    else:
        print(f"{os.cpu_count()} cores; load before this began: {load:.1f}")
        print(table(rows))


if __name__ == "__main__":
    main()
