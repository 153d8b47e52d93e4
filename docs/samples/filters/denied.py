"""A page of its own for who may not come in: an ISAPI filter for "access denied".

ACCESS_DENIED comes when a 401 is about to be sent, with the URL, the file and the reason. What the
filter sends then takes the place of the server's page; the fields that it has asked for beforehand
are in either.
"""

from isapi import isapicon
from isapi.simple import SimpleFilter

# SF_DENIED_: bits of the reason.
REASONS = {
    0x1: "the name or the password is not right",
    0x2: "the file is not for you",
    0x4: "a filter said no",
    0x8: "the application said no",
    0x10000: "a name and a password are needed",
}
PAGE = "<!doctype html><title>Closed</title><h1>Members only</h1><p>{}: {}.\n"


class Filter(SimpleFilter):
    """denied"""

    filter_flags = isapicon.SF_NOTIFY_PREPROC_HEADERS | isapicon.SF_NOTIFY_ACCESS_DENIED

    def HttpFilterProc(self, fc):
        if fc.NotificationType == isapicon.SF_NOTIFY_PREPROC_HEADERS:
            fc.AddHeadersOnDenial("X-Become-A-Member: /join\r\n")
        elif fc.NotificationType == isapicon.SF_NOTIFY_ACCESS_DENIED:
            denied = fc.GetData()
            reasons = [text for bit, text in REASONS.items() if denied.Reason & bit]
            fc.SendResponseHeader(
                "401 Unauthorized",
                "Content-Type: text/html\r\nWWW-Authenticate: Basic realm=members\r\n\r\n",
            )
            fc.WriteClient(PAGE.format(denied.URL.decode(), reasons[-1]))
            return isapicon.SF_STATUS_REQ_FINISHED_KEEP_CONN
        return isapicon.SF_STATUS_REQ_NEXT_NOTIFICATION


def __FilterFactory__():
    return Filter()
