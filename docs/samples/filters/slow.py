"""Writes down which requests were slow: an ISAPI filter that is there at the end of each.

END_OF_REQUEST comes once, when the whole response has been made. What is printed goes to the
pool's log, logs/pools/POOL.log.
"""

import os
import time

from isapi import isapicon
from isapi.simple import SimpleFilter

SLOW_MS = float(os.environ.get("SLOW_MS", "500"))


class Filter(SimpleFilter):
    """slow requests"""

    filter_flags = isapicon.SF_NOTIFY_PREPROC_HEADERS | isapicon.SF_NOTIFY_END_OF_REQUEST

    def HttpFilterProc(self, fc):
        if fc.NotificationType == isapicon.SF_NOTIFY_PREPROC_HEADERS:
            # Kept for the connection, whose requests come one after the other.
            fc.FilterContext = time.monotonic()
        elif fc.NotificationType == isapicon.SF_NOTIFY_END_OF_REQUEST:
            taken_ms = 1000 * (time.monotonic() - fc.FilterContext)
            if taken_ms >= SLOW_MS:
                url = fc.GetServerVariable("URL").decode()
                print(f"slow: {url} took {taken_ms:.0f} ms", flush=True)
        return isapicon.SF_STATUS_REQ_NEXT_NOTIFICATION


def __FilterFactory__():
    return Filter()
