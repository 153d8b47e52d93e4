"""A filter that wants what no filter can have since IIS 6."""

from isapi import isapicon as c
from isapi.simple import SimpleFilter


class Filter(SimpleFilter):
    """Reads raw data"""

    filter_flags = c.SF_NOTIFY_READ_RAW_DATA | c.SF_NOTIFY_PREPROC_HEADERS

    def HttpFilterProc(self, fc):
        raise AssertionError("it must not be called")


def __FilterFactory__():
    return Filter()
