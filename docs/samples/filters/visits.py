"""Writes down what each connection was used for: an ISAPI filter that is there at its end.

END_OF_NET_SESSION comes once for each connection, when it has ended; there is no request then, only
what the filter has kept in FilterContext.
"""

from isapi import isapicon
from isapi.simple import SimpleFilter


class Filter(SimpleFilter):
    """visits"""

    filter_flags = isapicon.SF_NOTIFY_PREPROC_HEADERS | isapicon.SF_NOTIFY_END_OF_NET_SESSION

    def HttpFilterProc(self, fc):
        if fc.NotificationType == isapicon.SF_NOTIFY_PREPROC_HEADERS:
            if fc.FilterContext is None:
                fc.FilterContext = []
            fc.FilterContext.append(fc.GetData().GetHeader("url").decode())
        elif fc.NotificationType == isapicon.SF_NOTIFY_END_OF_NET_SESSION and fc.FilterContext:
            print(f"a visit: {' '.join(fc.FilterContext)}", flush=True)
        return isapicon.SF_STATUS_REQ_NEXT_NOTIFICATION


def __FilterFactory__():
    return Filter()
