"""A folder for each host name: an ISAPI filter that says which file a URL stands for.

URL_MAP comes whenever somebody asks for the file of a URL. /page.html of www.example.com is
www.example.com/page.html of the site's folder, where there is such a folder.
"""

import os
import re

from isapi import isapicon
from isapi.simple import SimpleFilter

# What a client sends becomes part of a path: a letter or digit first, so ".." is none.
HOST = re.compile(rb"[a-z0-9][a-z0-9.-]*")


class Filter(SimpleFilter):
    """by host"""

    filter_flags = isapicon.SF_NOTIFY_URL_MAP

    def HttpFilterProc(self, fc):
        if fc.NotificationType == isapicon.SF_NOTIFY_URL_MAP:
            host = fc.GetServerVariable("HTTP_HOST", b"").lower().partition(b":")[0]
            mapping = fc.GetData()
            root = mapping.PhysicalPath[: -len(mapping.URL)]
            # Only what lies below the root as the URL says; aliases stay as they are.
            if HOST.fullmatch(host) and root + mapping.URL == mapping.PhysicalPath:
                folder = os.path.join(root, host)
                if os.path.isdir(folder):
                    mapping.PhysicalPath = folder + mapping.URL
        return isapicon.SF_STATUS_REQ_NEXT_NOTIFICATION


def __FilterFactory__():
    return Filter()
