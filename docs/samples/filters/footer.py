"""Adds a line to the end of each HTML page: an ISAPI filter that changes the response.

SEND_RESPONSE changes the head, SEND_RAW_DATA what is sent: the head's bytes first, then each block
of the body. Were `</body>` cut in two by the end of a block, the page would stay as it is.
"""

from isapi import isapicon
from isapi.simple import SimpleFilter

FOOTER = b"<footer>Served with a footer.</footer>"


class Filter(SimpleFilter):
    """footer"""

    filter_flags = isapicon.SF_NOTIFY_SEND_RESPONSE | isapicon.SF_NOTIFY_SEND_RAW_DATA

    def HttpFilterProc(self, fc):
        if fc.NotificationType == isapicon.SF_NOTIFY_SEND_RESPONSE:
            headers = fc.GetData()
            is_page = headers.GetHeader("Content-Type:", b"").startswith(b"text/html")
            if is_page and headers.HttpStatus == isapicon.HTTP_OK:
                headers.SetHeader("Content-Length:", "")  # it will be another one
                headers.SetHeader("X-Footer:", "yes")
                # Kept for the connection: what has to be done to what comes next.
                fc.FilterContext = "page"
            else:
                fc.FilterContext = None
        elif fc.NotificationType == isapicon.SF_NOTIFY_SEND_RAW_DATA and fc.FilterContext:
            block = fc.GetData()
            if b"</body>" in block.InData:
                block.InData = block.InData.replace(b"</body>", FOOTER + b"</body>")
        return isapicon.SF_STATUS_REQ_NEXT_NOTIFICATION


def __FilterFactory__():
    return Filter()
