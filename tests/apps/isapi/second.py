"""A filter of lower order, and one that must not be loaded beside it."""

from isapi import isapicon as c
from tasks import Filter as Tasks


class Filter(Tasks):
    """Second"""

    filter_flags = c.SF_NOTIFY_PREPROC_HEADERS | c.SF_NOTIFY_SEND_RAW_DATA | c.SF_NOTIFY_ORDER_LOW
    tag = "second"

    def preproc_headers(self, fc, headers, query):
        return None

    send_raw_data = preproc_headers


def __FilterFactory__():
    return Filter()
