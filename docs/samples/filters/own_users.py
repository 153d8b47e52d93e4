"""Users that the server does not know: an ISAPI filter that authenticates by itself.

AUTHENTICATION shows what the client says of itself. Who is in users.txt beside this file goes on as
the server's anonymous user (an empty name), under a name that the application reads in X-User; who
is not gets the filter's own 401. A line of users.txt is `name:salt:hash`:

    python -c 'import own_users; own_users.add("ana", "secret")'
"""

import base64
import hashlib
import hmac
import os

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "users.txt")


def hash_of(password: bytes, salt: str) -> str:
    """Slow on purpose: what is stolen is not soon guessed."""
    raw = hashlib.scrypt(password, salt=salt.encode(), n=2**12, r=8, p=1)
    return base64.b64encode(raw).decode()


def add(name: str, password: str) -> None:
    """One more user."""
    salt = os.urandom(12).hex()
    with open(FILE, "a", encoding="utf-8") as file:
        file.write(f"{name}:{salt}:{hash_of(password.encode(), salt)}\n")


def is_known(name: str, password: bytes) -> bool:
    """Whether the file has a user of this name and password."""
    with open(FILE, encoding="utf-8") as file:
        for line in file:
            user, salt, found = line.strip().split(":")
            if user == name:
                return hmac.compare_digest(found, hash_of(password, salt))
    return False


def __FilterFactory__():
    # Only the server has these: so that `add` works without it.
    from isapi import isapicon
    from isapi.simple import SimpleFilter

    class Filter(SimpleFilter):
        """own users"""

        filter_flags = isapicon.SF_NOTIFY_AUTHENTICATION | isapicon.SF_NOTIFY_AUTH_COMPLETE

        def HttpFilterProc(self, fc):
            if fc.NotificationType == isapicon.SF_NOTIFY_AUTHENTICATION:
                sent = fc.GetData()
                if not is_known(sent.User.decode(), sent.Password):
                    return self.refuse(fc)
                fc.FilterContext = sent.User
                sent.User = sent.Password = ""
            elif fc.NotificationType == isapicon.SF_NOTIFY_AUTH_COMPLETE:
                # Whatever the client has sent under this name is lost.
                fc.GetData().SetHeader("X-User:", fc.FilterContext or "")
                fc.FilterContext = None
            return isapicon.SF_STATUS_REQ_NEXT_NOTIFICATION

        def refuse(self, fc):
            """An answer of the filter's own."""
            fc.SendResponseHeader(
                "401 Unauthorized",
                "Content-Type: text/plain\r\nWWW-Authenticate: Basic realm=own\r\n\r\n",
            )
            fc.WriteClient("Who are you?\n")
            return isapicon.SF_STATUS_REQ_FINISHED_KEEP_CONN

    return Filter()
