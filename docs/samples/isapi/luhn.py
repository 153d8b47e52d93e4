"""A credit-card number checked by its last digit (Luhn): an ISAPI extension in Python.

curl 'http://127.0.0.1:8080/luhn?number=4111111111111111'
"""

from urllib.parse import parse_qs

from isapi import isapicon
from isapi.simple import SimpleExtension


def is_valid(number: str) -> bool:
    """Whether the digits, every second one from the right doubled, add up to a multiple of ten."""
    digits = [int(c) for c in number if c.isdigit()]
    doubled = (2 * d - 9 * (d > 4) for d in digits[-2::-2])
    return len(digits) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


class Extension(SimpleExtension):
    """Luhn credit card validator"""

    def HttpExtensionProc(self, ecb):
        query = ecb.QueryString if ecb.Method == b"GET" else ecb.AvailableData
        number = parse_qs(query.decode()).get("number", [""])[0]
        ecb.SendResponseHeaders("200 OK", "Content-Type: text/plain\r\n\r\n", True)
        ecb.WriteClient("valid\n" if is_valid(number) else "not valid\n")
        return isapicon.HSE_STATUS_SUCCESS


def __ExtensionFactory__():
    return Extension()
