"""The public halves of our private keys, as a JSON Web Key Set (RFC 7517)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import Iterable

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key


class KeyProblem(Exception):
    """Why a private key cannot be used. It never quotes the key."""


@dataclass(frozen=True)
class PublicKey:
    """The two public numbers of an RSA key, base64url, and its thumbprint.

    The private numbers are not kept: what is not here cannot be published."""

    n: str
    e: str

    @property
    def kid(self) -> str:
        """RFC 7638: the hash of the required members, sorted, without spaces."""
        canonical = json.dumps({"e": self.e, "kty": "RSA", "n": self.n}, separators=(",", ":"), sort_keys=True)
        return _base64url(hashlib.sha256(canonical.encode()).digest())

    def jwk(self) -> dict[str, str]:
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "n": self.n, "e": self.e}


def public_key(encoded: str) -> PublicKey:
    """The public half of a base64-encoded PEM private key."""
    try:
        pem = base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError):
        raise KeyProblem("is not base64") from None
    try:
        key = load_pem_private_key(pem, password=None)
    except Exception:  # the library's many errors may quote their input
        raise KeyProblem("is not a private key in PEM without a password") from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < 2048:
        raise KeyProblem("is not an RSA key of at least 2048 bits")
    numbers = key.public_key().public_numbers()
    return PublicKey(n=_number(numbers.n), e=_number(numbers.e))


def key_set(keys: Iterable[PublicKey]) -> dict[str, list[dict[str, str]]]:
    """The set, each key once: while a rotation overlaps, both keys are in it."""
    return {"keys": [key.jwk() for key in dict.fromkeys(keys)]}


def _number(number: int) -> str:
    return _base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
