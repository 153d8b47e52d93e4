"""One account for all partners: an ISAPI filter that controls who a user is to the server.

AUTHENTICATION shows the name and password of Basic authentication, both empty for who sends none,
and takes others in their place, which are then checked as if the client had sent them. The
application sees the account in LOGON_USER, the client's own name in UNMAPPED_REMOTE_USER.
"""

import os

from isapi import isapicon
from isapi.simple import SimpleFilter

# The account is one of the server's: was user add partner. The word is the pool's, not this file's.
ACCOUNT = "partner", os.environ.get("PARTNER_PASSWORD", "")
DOMAIN = b"@partner.example"


class Filter(SimpleFilter):
    """partners"""

    filter_flags = isapicon.SF_NOTIFY_AUTHENTICATION

    def HttpFilterProc(self, fc):
        if fc.NotificationType == isapicon.SF_NOTIFY_AUTHENTICATION:
            sent = fc.GetData()
            if sent.User.endswith(DOMAIN) and sent.Password == b"we are many":
                sent.User, sent.Password = ACCOUNT
        return isapicon.SF_STATUS_REQ_NEXT_NOTIFICATION


def __FilterFactory__():
    return Filter()
