"""What a client says to prove who it is."""

import base64
import hashlib
import re


def basic(name: str, password: str) -> str:
    """An Authorization value of RFC 7617."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def parameters(challenge: str) -> dict[str, str]:
    """The parameters of a Digest challenge."""
    return dict(re.findall(r'(\w+)="?([^",]+)"?', challenge.removeprefix("Digest ")))


def digest(
    challenge: str,
    name: str,
    password: str,
    uri: str,
    *,
    method: str = "GET",
    nc: int = 1,
    **changes: str | None,
) -> str:
    """An Authorization value of RFC 7616; `changes` replace parameters, None leaves one out."""
    asked = parameters(challenge)
    algorithm = {"MD5": "md5", "SHA-256": "sha256"}[asked["algorithm"]]

    def hashed(text: str) -> str:
        return hashlib.new(algorithm, text.encode()).hexdigest()

    ha1, ha2 = hashed(f"{name}:{asked['realm']}:{password}"), hashed(f"{method}:{uri}")
    response = hashed(f"{ha1}:{asked['nonce']}:{nc:08x}:abc:auth:{ha2}")
    given: dict[str, str | None] = {
        "username": f'"{name}"',
        "realm": f'"{asked["realm"]}"',
        "nonce": f'"{asked["nonce"]}"',
        "uri": f'"{uri}"',
        "algorithm": asked["algorithm"],
        "qop": "auth",
        "nc": f"{nc:08x}",
        "cnonce": '"abc"',
        "response": f'"{response}"',
    }
    given.update(changes)
    said = ", ".join(f"{key}={value}" for key, value in given.items() if value is not None)
    return f"Digest {said}"
