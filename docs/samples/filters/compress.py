"""Compresses what is sent, for clients that accept it: an ISAPI filter of three events.

SEND_RESPONSE changes the head, SEND_RAW_DATA each block, END_OF_REQUEST adds the end of the stream.
"""

import zlib

from isapi import FilterError, isapicon
from isapi.simple import SimpleFilter

GZIP = 16 + zlib.MAX_WBITS


class Filter(SimpleFilter):
    """gzip"""

    filter_flags = (
        isapicon.SF_NOTIFY_SEND_RESPONSE
        | isapicon.SF_NOTIFY_SEND_RAW_DATA
        | isapicon.SF_NOTIFY_END_OF_REQUEST
    )

    def HttpFilterProc(self, fc):
        match fc.NotificationType:
            case isapicon.SF_NOTIFY_SEND_RESPONSE:
                fc.FilterContext = self.begin(fc, fc.GetData())
            case isapicon.SF_NOTIFY_SEND_RAW_DATA if fc.FilterContext is not None:
                block = fc.GetData()
                if fc.FilterContext.has_head:
                    block.InData = fc.FilterContext.stream.compress(block.InData)
                fc.FilterContext.has_head = True
            case isapicon.SF_NOTIFY_END_OF_REQUEST if fc.FilterContext is not None:
                fc.WriteClient(fc.FilterContext.stream.flush())
                fc.FilterContext = None
        return isapicon.SF_STATUS_REQ_NEXT_NOTIFICATION

    def begin(self, fc, headers):
        """A stream for this response, None where it stays as it is."""
        try:
            if b"gzip" not in fc.GetServerVariable("HTTP_ACCEPT_ENCODING"):
                return None
        except FilterError:
            return None
        if headers.HttpStatus != isapicon.HTTP_OK or headers.GetHeader("Content-Encoding:", None):
            return None
        headers.SetHeader("Content-Encoding:", "gzip")
        headers.SetHeader("Vary:", "Accept-Encoding")
        headers.SetHeader("Content-Length:", "")
        return Stream()


class Stream:
    """What is kept of a response between its blocks."""

    def __init__(self):
        self.stream = zlib.compressobj(wbits=GZIP)
        self.has_head = False


def __FilterFactory__():
    return Filter()
