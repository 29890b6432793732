"""How the understudy signs what it says: RS256 with the standard library alone, and a key that lives only in memory.

A key is made the first time something has to be signed, and serves every world of the process from then on: making one
takes a moment, and stages are emptied often. Nothing here is fit for real secrets: the arithmetic is not constant-time.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import secrets
from functools import cache
from typing import Any

PUBLIC_EXPONENT = 65537
MODULUS_BITS = 2048
WITNESSES = 10  # Miller-Rabin rounds; for random 1024-bit candidates the chance of error is far below 2^-80
SMALL_PRIMES = tuple(n for n in range(3, 2000, 2) if all(n % d for d in range(3, math.isqrt(n) + 1, 2)))
SHA256_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")  # RFC 8017, section 9.2, note 1


def b64(data: bytes) -> str:
    """Encode as base64url without padding, as JOSE wants it (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """Decode either base64 alphabet, padded or not."""
    return base64.urlsafe_b64decode(text.replace("+", "-").replace("/", "_") + "=" * (-len(text) % 4))


def is_probably_prime(candidate: int) -> bool:
    """Tell by trial division and Miller-Rabin."""
    if any(candidate % prime == 0 for prime in SMALL_PRIMES):
        return False
    odd, twos = candidate - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(WITNESSES):
        power = pow(secrets.randbelow(candidate - 3) + 2, odd, candidate)
        if power in (1, candidate - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % candidate
            if power == candidate - 1:
                break
        else:
            return False
    return True


def random_prime(bits: int) -> int:
    """Find a prime with its two highest bits set, so that a product of two has twice the bits."""
    while True:
        candidate = secrets.randbits(bits) | (0b11 << (bits - 2)) | 1
        if (candidate - 1) % PUBLIC_EXPONENT and is_probably_prime(candidate):
            return candidate


class SigningKey:
    """An RSA key pair with a name, able to sign a JWT and to show its public half."""

    def __init__(self) -> None:
        self.kid = secrets.token_hex(20)
        self._p = random_prime(MODULUS_BITS // 2)
        self._q = random_prime(MODULUS_BITS // 2)
        self.modulus = self._p * self._q
        exponent = pow(PUBLIC_EXPONENT, -1, math.lcm(self._p - 1, self._q - 1))
        # The Chinese remainder theorem makes a signature four times cheaper, which a busy stage notices.
        self._exponent_p, self._exponent_q = exponent % (self._p - 1), exponent % (self._q - 1)
        self._q_inverse = pow(self._q, -1, self._p)

    def jwk(self) -> dict[str, str]:
        """Show the public half as a JSON Web Key."""
        modulus = self.modulus.to_bytes(MODULUS_BITS // 8, "big")
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "n": b64(modulus), "e": "AQAB"}

    def sign(self, claims: dict[str, Any]) -> str:
        """Sign claims as a compact JWT (PKCS#1 v1.5 with SHA-256)."""
        head = b64(json.dumps({"alg": "RS256", "kid": self.kid, "typ": "JWT"}).encode())
        signed = f"{head}.{b64(json.dumps(claims).encode())}"
        digest = SHA256_DIGEST_INFO + hashlib.sha256(signed.encode()).digest()
        size = MODULUS_BITS // 8
        padded = b"\x00\x01" + b"\xff" * (size - 3 - len(digest)) + b"\x00" + digest
        return f"{signed}.{b64(self._private(int.from_bytes(padded, 'big')).to_bytes(size, 'big'))}"

    def _private(self, number: int) -> int:
        by_p, by_q = pow(number, self._exponent_p, self._p), pow(number, self._exponent_q, self._q)
        return by_q + (by_p - by_q) * self._q_inverse % self._p * self._q


@cache
def _key(turn: int) -> SigningKey:
    """The key that signs after so many rotations."""
    return SigningKey()


class KeyRing:
    """The keys in use: the newest signs, and the one before it stays published as Google's rotation does."""

    PUBLISHED = 2

    def __init__(self) -> None:
        self._keys: list[SigningKey] = []
        self._turns = 0

    def current(self) -> SigningKey:
        """Hand out the signing key, making the first one when it is first needed."""
        if not self._keys:
            self.rotate()
        return self._keys[-1]

    def rotate(self) -> None:
        """Start signing with a new key."""
        self._keys = [*self._keys, _key(self._turns)][-self.PUBLISHED :]
        self._turns += 1

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Publish every key a recent signature may carry."""
        self.current()
        return {"keys": [key.jwk() for key in self._keys]}
