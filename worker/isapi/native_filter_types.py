"""The structures of httpfilt.h as ctypes has them."""

from __future__ import annotations

import ctypes
from ctypes import c_char, c_char_p, c_int32, c_uint32, c_void_p

__all__ = [
    "HTTP_FILTER_ACCESS_DENIED",
    "HTTP_FILTER_AUTHENT",
    "HTTP_FILTER_AUTH_COMPLETE_INFO",
    "HTTP_FILTER_CONTEXT",
    "HTTP_FILTER_LOG",
    "HTTP_FILTER_PREPROC_HEADERS",
    "HTTP_FILTER_RAW_DATA",
    "HTTP_FILTER_URL_MAP_EX",
    "HTTP_FILTER_VERSION",
]

DESCRIPTION_BYTES = 257


class HTTP_FILTER_VERSION(ctypes.Structure):
    """What GetFilterVersion fills."""

    _fields_ = (
        ("dwServerFilterVersion", c_uint32),
        ("dwFilterVersion", c_uint32),
        ("lpszFilterDesc", c_char * DESCRIPTION_BYTES),
        ("dwFlags", c_uint32),
    )


class HTTP_FILTER_CONTEXT(ctypes.Structure):
    """The first argument of HttpFilterProc and of every callback."""

    _fields_ = (
        ("cbSize", c_uint32),
        ("Revision", c_uint32),
        ("ServerContext", c_void_p),
        ("ulReserved", c_uint32),
        ("fIsSecurePort", c_int32),
        ("pFilterContext", c_void_p),
        ("GetServerVariable", c_void_p),
        ("AddResponseHeaders", c_void_p),
        ("WriteClient", c_void_p),
        ("AllocMem", c_void_p),
        ("ServerSupportFunction", c_void_p),
    )


class HTTP_FILTER_RAW_DATA(ctypes.Structure):
    """SEND_RAW_DATA."""

    _fields_ = (
        ("pvInData", c_void_p),
        ("cbInData", c_uint32),
        ("cbInBuffer", c_uint32),
        ("dwReserved", c_uint32),
    )


class HTTP_FILTER_PREPROC_HEADERS(ctypes.Structure):
    """PREPROC_HEADERS and SEND_RESPONSE."""

    _fields_ = (
        ("GetHeader", c_void_p),
        ("SetHeader", c_void_p),
        ("AddHeader", c_void_p),
        ("HttpStatus", c_uint32),
        ("dwReserved", c_uint32),
    )


class HTTP_FILTER_AUTHENT(ctypes.Structure):
    """AUTHENTICATION."""

    _fields_ = (
        ("pszUser", c_void_p),
        ("cbUserBuff", c_uint32),
        ("pszPassword", c_void_p),
        ("cbPasswordBuff", c_uint32),
    )


class HTTP_FILTER_AUTH_COMPLETE_INFO(ctypes.Structure):
    """AUTH_COMPLETE."""

    _fields_ = (
        ("GetHeader", c_void_p),
        ("SetHeader", c_void_p),
        ("AddHeader", c_void_p),
        ("GetUserToken", c_void_p),
        ("HttpStatus", c_uint32),
        ("fResetAuth", c_int32),
        ("dwReserved", c_uint32),
    )


class HTTP_FILTER_URL_MAP_EX(ctypes.Structure):
    """URL_MAP; the older form is its beginning."""

    _fields_ = (
        ("pszURL", c_char_p),
        ("pszPhysicalPath", c_void_p),
        ("cbPathBuff", c_uint32),
        ("dwFlags", c_uint32),
        ("cchMatchingPath", c_uint32),
        ("cchMatchingURL", c_uint32),
        ("pszScriptMapEntry", c_char_p),
    )


class HTTP_FILTER_ACCESS_DENIED(ctypes.Structure):
    """ACCESS_DENIED."""

    _fields_ = (
        ("pszURL", c_char_p),
        ("pszPhysicalPath", c_char_p),
        ("dwReason", c_uint32),
    )


class HTTP_FILTER_LOG(ctypes.Structure):
    """LOG: the pointers can be replaced."""

    _fields_ = (
        ("pszClientHostName", c_char_p),
        ("pszClientUserName", c_char_p),
        ("pszServerName", c_char_p),
        ("pszOperation", c_char_p),
        ("pszTarget", c_char_p),
        ("pszParameters", c_char_p),
        ("dwHttpStatus", c_uint32),
        ("dwWin32Status", c_uint32),
        ("dwBytesSent", c_uint32),
        ("dwBytesRecvd", c_uint32),
        ("msTimeForProcessing", c_uint32),
    )
