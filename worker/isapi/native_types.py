"""The structures of httpext.h as ctypes has them: Windows types on LP64 Linux.

DWORD is 32 bits, WCHAR 16; a file HANDLE is a descriptor. The header that `was sdk` names declares
the same; a test compares the two.
"""

from __future__ import annotations

import ctypes
from ctypes import c_char, c_char_p, c_int32, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p

from was.worker.isapi.constants import MAX_PATH

__all__ = [
    "CERT_CONTEXT_EX",
    "EXTENSION_CONTROL_BLOCK",
    "HSE_CUSTOM_ERROR_INFO",
    "HSE_EXEC_URL_ENTITY_INFO",
    "HSE_EXEC_URL_INFO",
    "HSE_EXEC_URL_STATUS",
    "HSE_EXEC_URL_USER_INFO",
    "HSE_RESPONSE_VECTOR",
    "HSE_SEND_HEADER_EX_INFO",
    "HSE_TF_INFO",
    "HSE_TRACE_INFO",
    "HSE_UNICODE_URL_MAPEX_INFO",
    "HSE_URL_MAPEX_INFO",
    "HSE_VECTOR_ELEMENT",
    "HSE_VERSION_INFO",
    "IO_COMPLETION",
    "LOG_BYTES",
]

LOG_BYTES = 80
DESCRIPTION_BYTES = 256

# PFN_HSE_IO_COMPLETION (ecb, context, bytes, error)
IO_COMPLETION = ctypes.CFUNCTYPE(None, c_void_p, c_void_p, c_uint32, c_uint32)


class HSE_VERSION_INFO(ctypes.Structure):
    """What GetExtensionVersion fills."""

    _fields_ = (
        ("dwExtensionVersion", c_uint32),
        ("lpszExtensionDesc", c_char * DESCRIPTION_BYTES),
    )


class EXTENSION_CONTROL_BLOCK(ctypes.Structure):
    """One request, as HttpExtensionProc is given it."""

    _fields_ = (
        ("cbSize", c_uint32),
        ("dwVersion", c_uint32),
        ("ConnID", c_void_p),
        ("dwHttpStatusCode", c_uint32),
        ("lpszLogData", c_char * LOG_BYTES),
        ("lpszMethod", c_char_p),
        ("lpszQueryString", c_char_p),
        ("lpszPathInfo", c_char_p),
        ("lpszPathTranslated", c_char_p),
        ("cbTotalBytes", c_uint32),
        ("cbAvailable", c_uint32),
        ("lpbData", c_void_p),
        ("lpszContentType", c_char_p),
        ("GetServerVariable", c_void_p),
        ("WriteClient", c_void_p),
        ("ReadClient", c_void_p),
        ("ServerSupportFunction", c_void_p),
    )


class HSE_TF_INFO(ctypes.Structure):
    """HSE_REQ_TRANSMIT_FILE."""

    _fields_ = (
        ("pfnHseIO", c_void_p),
        ("pContext", c_void_p),
        ("hFile", c_void_p),
        ("pszStatusCode", c_char_p),
        ("BytesToWrite", c_uint32),
        ("Offset", c_uint32),
        ("pHead", c_void_p),
        ("HeadLength", c_uint32),
        ("pTail", c_void_p),
        ("TailLength", c_uint32),
        ("dwFlags", c_uint32),
    )


class HSE_SEND_HEADER_EX_INFO(ctypes.Structure):
    """HSE_REQ_SEND_RESPONSE_HEADER_EX."""

    _fields_ = (
        ("pszStatus", c_void_p),
        ("pszHeader", c_void_p),
        ("cchStatus", c_uint32),
        ("cchHeader", c_uint32),
        ("fKeepConn", c_int32),
    )


class HSE_URL_MAPEX_INFO(ctypes.Structure):
    """HSE_REQ_MAP_URL_TO_PATH_EX."""

    _fields_ = (
        ("lpszPath", c_char * MAX_PATH),
        ("dwFlags", c_uint32),
        ("cchMatchingPath", c_uint32),
        ("cchMatchingURL", c_uint32),
        ("dwReserved1", c_uint32),
        ("dwReserved2", c_uint32),
    )


class HSE_UNICODE_URL_MAPEX_INFO(ctypes.Structure):
    """HSE_REQ_MAP_UNICODE_URL_TO_PATH_EX."""

    _fields_ = (
        ("lpszPath", c_uint16 * MAX_PATH),
        ("dwFlags", c_uint32),
        ("cchMatchingPath", c_uint32),
        ("cchMatchingURL", c_uint32),
    )


class HSE_EXEC_URL_USER_INFO(ctypes.Structure):
    """Who makes the child request; in the UNICODE form the name is wide."""

    _fields_ = (
        ("hImpersonationToken", c_void_p),
        ("pszCustomUserName", c_void_p),
        ("pszCustomAuthType", c_char_p),
    )


class HSE_EXEC_URL_ENTITY_INFO(ctypes.Structure):
    """The child's body."""

    _fields_ = (("cbAvailable", c_uint32), ("lpbData", c_void_p))


class HSE_EXEC_URL_STATUS(ctypes.Structure):
    """HSE_REQ_GET_EXEC_URL_STATUS."""

    _fields_ = (
        ("uHttpStatusCode", c_uint16),
        ("uHttpSubStatus", c_uint16),
        ("dwWin32Error", c_uint32),
    )


class HSE_EXEC_URL_INFO(ctypes.Structure):
    """HSE_REQ_EXEC_URL; in the UNICODE form pszUrl is wide."""

    _fields_ = (
        ("pszUrl", c_void_p),
        ("pszMethod", c_char_p),
        ("pszChildHeaders", c_char_p),
        ("pUserInfo", ctypes.POINTER(HSE_EXEC_URL_USER_INFO)),
        ("pEntity", ctypes.POINTER(HSE_EXEC_URL_ENTITY_INFO)),
        ("dwExecUrlFlags", c_uint32),
    )


class HSE_CUSTOM_ERROR_INFO(ctypes.Structure):
    """HSE_REQ_SEND_CUSTOM_ERROR."""

    _fields_ = (
        ("pszStatus", c_char_p),
        ("uHttpSubError", c_uint16),
        ("fAsync", c_int32),
    )


class HSE_VECTOR_ELEMENT(ctypes.Structure):
    """A piece of memory (type 0) or of a file (type 1)."""

    _fields_ = (
        ("ElementType", c_uint32),
        ("pvContext", c_void_p),
        ("cbOffset", c_uint64),
        ("cbSize", c_uint64),
    )


class HSE_RESPONSE_VECTOR(ctypes.Structure):
    """HSE_REQ_VECTOR_SEND."""

    _fields_ = (
        ("dwFlags", c_uint32),
        ("pszStatus", c_char_p),
        ("pszHeaders", c_char_p),
        ("nElementCount", c_uint32),
        ("lpElementArray", ctypes.POINTER(HSE_VECTOR_ELEMENT)),
    )


class HSE_TRACE_INFO(ctypes.Structure):
    """HSE_REQ_GET_TRACE_INFO."""

    _fields_ = (
        ("fTraceRequest", c_int32),
        ("TraceContextId", c_uint8 * 16),
        ("dwReserved1", c_uint32),
        ("dwReserved2", c_uint32),
    )


class CERT_CONTEXT(ctypes.Structure):
    """The certificate in CERT_CONTEXT_EX."""

    _fields_ = (
        ("dwCertEncodingType", c_uint32),
        ("pbCertEncoded", c_void_p),
        ("cbCertEncoded", c_uint32),
        ("pCertInfo", c_void_p),
        ("hCertStore", c_void_p),
    )


class CERT_CONTEXT_EX(ctypes.Structure):
    """HSE_REQ_GET_CERT_INFO_EX."""

    _fields_ = (
        ("CertContext", CERT_CONTEXT),
        ("cbAllocated", c_uint32),
        ("dwCertificateFlags", c_uint32),
    )
