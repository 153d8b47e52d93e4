/* Hello by ISAPI, with the process that says it. */
#include "httpext.h"

#include <unistd.h>

BOOL WINAPI GetExtensionVersion(HSE_VERSION_INFO *version) {
    version->dwExtensionVersion = MAKELONG(0, 1);
    strcpy(version->lpszExtensionDesc, "Hello");
    return TRUE;
}

DWORD WINAPI HttpExtensionProc(EXTENSION_CONTROL_BLOCK *ecb) {
    char fields[128];
    HSE_SEND_HEADER_EX_INFO headers = {"200 OK", fields, 0, 0, TRUE};
    DWORD count = 14;
    snprintf(fields, sizeof fields,
             "Content-Type: text/plain\r\nContent-Length: 14\r\nX-Process: %d\r\n\r\n", getpid());
    ecb->ServerSupportFunction(ecb->ConnID, HSE_REQ_SEND_RESPONSE_HEADER_EX, &headers, NULL, NULL);
    ecb->WriteClient(ecb->ConnID, "Hello, world!\n", &count, HSE_IO_SYNC);
    return HSE_STATUS_SUCCESS;
}
