"""Serves /de/page as /page in German: an ISAPI filter that changes the URL and a header.

PREPROC_HEADERS comes before all else, so whoever answers sees a request for /page with
`Accept-Language: de`. The log has the new URL too.
"""

from isapi import isapicon
from isapi.simple import SimpleFilter

LANGUAGES = (b"de", b"en", b"fr")


class Filter(SimpleFilter):
    """language"""

    filter_flags = isapicon.SF_NOTIFY_PREPROC_HEADERS | isapicon.SF_NOTIFY_ORDER_HIGH

    def HttpFilterProc(self, fc):
        if fc.NotificationType == isapicon.SF_NOTIFY_PREPROC_HEADERS:
            headers = fc.GetData()
            _, first, rest = (headers.GetHeader("url") + b"/").split(b"/", 2)
            if first in LANGUAGES and rest:
                headers.SetHeader("url", b"/" + rest[:-1])
                headers.SetHeader("Accept-Language:", first)
        return isapicon.SF_STATUS_REQ_NEXT_NOTIFICATION


def __FilterFactory__():
    return Filter()
