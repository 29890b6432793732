"""The ID token of an OpenID sign-in, signed RS256 with a key made for this process, by arithmetic alone.

Good for a stage and for nothing else: no care is taken against timing attacks.
"""

import base64
import hashlib
import json
import secrets
from functools import cache
from typing import Any

BITS = 2048
EXPONENT = 65537
KEY_ID = "understudy"
SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")  # DigestInfo of RFC 8017, 9.2
SMALL_PRIMES = [n for n in range(3, 2000, 2) if all(n % d for d in range(3, int(n**0.5) + 1, 2))]


class Signer:
    """Signs with a key that is made when a process first needs one."""

    def keys(self) -> dict[str, Any]:
        """Publish the public half as a JSON Web Key Set."""
        p, q = _primes()
        numbers = {"n": _text(_bytes(p * q)), "e": _text(_bytes(EXPONENT))}
        return {"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": KEY_ID, **numbers}]}

    def sign(self, claims: dict[str, Any]) -> str:
        """Write claims as a signed token."""
        parts = [_text(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT", "kid": KEY_ID}, claims)]
        digest = SHA256_INFO + hashlib.sha256(".".join(parts).encode()).digest()
        size = BITS // 8
        padded = b"\x00\x01" + b"\xff" * (size - len(digest) - 3) + b"\x00" + digest
        return ".".join([*parts, _text(_private(int.from_bytes(padded)).to_bytes(size))])


@cache
def _primes() -> tuple[int, int]:
    """The two that are the key."""
    return _prime(), _prime()


def _private(number: int) -> int:
    """Apply the private exponent by the Chinese remainder theorem, at a quarter of the price."""
    p, q = _primes()
    by_p, by_q = (pow(number, pow(EXPONENT, -1, prime - 1), prime) for prime in (p, q))
    return by_q + (by_p - by_q) * pow(q, -1, p) % p * q


def _prime() -> int:
    top = 3 << (BITS // 2 - 2)  # both upper bits set, so that two of them make a full-sized modulus
    while True:
        n = secrets.randbits(BITS // 2) | top | 1
        if all(n % small for small in SMALL_PRIMES) and (n - 1) % EXPONENT and _probably_prime(n):
            return n


def _probably_prime(n: int) -> bool:
    """Ask Miller and Rabin a few times; for random numbers of this size that is far more than enough."""
    odd = (n - 1) >> (twos := ((n - 1) & -(n - 1)).bit_length() - 1)
    for _ in range(6):
        x = pow(secrets.randbelow(n - 3) + 2, odd, n)
        if x in {1, n - 1}:
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
