"""Keeps what is private out of the request log: an ISAPI filter for logging.

LOG comes before the line of a request is written; what is set is what is logged. Here values of the
query that nobody is to read become `***`, and of the client's address the last part 0.
"""

import re

from isapi import isapicon
from isapi.simple import SimpleFilter

PRIVATE = re.compile(rb"((?:^|&)(?:password|token|key)=)[^&]*", re.IGNORECASE)
LAST_PART = re.compile(rb"[0-9a-fA-F]+$")


class Filter(SimpleFilter):
    """private log"""

    filter_flags = isapicon.SF_NOTIFY_LOG

    def HttpFilterProc(self, fc):
        if fc.NotificationType == isapicon.SF_NOTIFY_LOG:
            line = fc.GetData()
            line.Parameters = PRIVATE.sub(rb"\1***", line.Parameters)
            line.ClientHostName = LAST_PART.sub(b"0", line.ClientHostName)
        return isapicon.SF_STATUS_REQ_NEXT_NOTIFICATION


def __FilterFactory__():
    return Filter()
