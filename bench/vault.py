"""Unsealing: what our envelope, its place and the key's memory cost on top of AES-256-GCM itself."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from statistics import median

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench.house import House
from bench.measure import Row, timed

BYTES = 200
BATCH = 2_000
ROUNDS = 15


def measure(house: House) -> Iterator[Row]:
    """Open the same value again and again, ours and the bare cipher in turn."""
    vault = house.services.vault.of(house.tenant())
    row = uuid.uuid4()
    text = "x" * BYTES
    sealed = vault.seal("calls", row, "view", text)
    cipher, nonce, about = AESGCM(os.urandom(32)), os.urandom(12), b"a place of about the same length" * 3
    closed = cipher.encrypt(nonce, text.encode(), about)

    def ours() -> None:
        for _ in range(BATCH):
            vault.open("calls", row, "view", sealed)

    def bare() -> None:
        for _ in range(BATCH):
            cipher.decrypt(nonce, closed, about)

    assert text == vault.open("calls", row, "view", sealed)
    took: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(ROUNDS):
        took["ours"] += timed(ours, 1)
        took["bare"] += timed(bare, 1)
    yield Row(
        measure=f"unseal {BYTES} bytes",
        figure=BATCH / median(took["ours"]),
        unit="values/s",
        baseline=BATCH / median(took["bare"]),
        against="AES-256-GCM alone, key at hand",
        wanted=">= 100,000",
    )
