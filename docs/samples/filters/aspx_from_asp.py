"""Serves x.aspx from x.asp: an ISAPI filter that changes the URL before anybody looks at it."""

from isapi import isapicon
from isapi.simple import SimpleFilter


class Filter(SimpleFilter):
    """.aspx from .asp"""

    filter_flags = isapicon.SF_NOTIFY_PREPROC_HEADERS | isapicon.SF_NOTIFY_ORDER_HIGH

    def HttpFilterProc(self, fc):
        headers = fc.GetData()
        if headers is not None:
            path, mark, query = headers.GetHeader("url").partition(b"?")
            if path.lower().endswith(b".aspx"):
                headers.SetHeader("url", path[:-1] + mark + query)
        return isapicon.SF_STATUS_REQ_NEXT_NOTIFICATION


def __FilterFactory__():
    return Filter()
