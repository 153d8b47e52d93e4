"""Tells applications who the user is, signed: an ISAPI filter that acts once the user is known.

AUTH_COMPLETE comes after authentication, whichever kind it was, and before the handler: X-User and
X-User-Signature are then fields of the request. What a client sends under these names is lost.
"""

import hashlib
import hmac
import os

from isapi import isapicon
from isapi.simple import SimpleFilter

KEY = os.environ.get("USER_KEY", "").encode()


class Filter(SimpleFilter):
    """signed user"""

    filter_flags = isapicon.SF_NOTIFY_AUTH_COMPLETE

    def HttpFilterProc(self, fc):
        if fc.NotificationType == isapicon.SF_NOTIFY_AUTH_COMPLETE:
            user = fc.GetServerVariable("LOGON_USER", b"")
            signature = hmac.new(KEY, user, hashlib.sha256).hexdigest() if user else ""
            headers = fc.GetData()
            headers.SetHeader("X-User:", user)  # "" removes a field
            headers.SetHeader("X-User-Signature:", signature)
        return isapicon.SF_STATUS_REQ_NEXT_NOTIFICATION


def __FilterFactory__():
    return Filter()
