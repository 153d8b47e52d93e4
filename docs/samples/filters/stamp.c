/* Says with each response how long it took to make: an ISAPI filter that changes its head.
 *
 * What is kept between two events of one request is kept for the connection: its requests come one
 * after the other.
 *
 *     cc -shared -fPIC -I "$(was sdk)" -o stamp.so stamp.c
 */
#include "httpfilt.h"

#include <time.h>

BOOL WINAPI GetFilterVersion(HTTP_FILTER_VERSION *version) {
    version->dwFilterVersion = HTTP_FILTER_REVISION;
    strcpy(version->lpszFilterDesc, "stamp");
    version->dwFlags = SF_NOTIFY_PREPROC_HEADERS | SF_NOTIFY_SEND_RESPONSE | SF_NOTIFY_ORDER_HIGH;
    return TRUE;
}

DWORD WINAPI HttpFilterProc(HTTP_FILTER_CONTEXT *pfc, DWORD type, VOID *data) {
    struct timespec now, *begun = pfc->pFilterContext;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (type == SF_NOTIFY_PREPROC_HEADERS) {
        /* Once a connection: AllocMem gives memory that the server takes back when it ends. */
        if (begun == NULL)
            begun = pfc->pFilterContext = pfc->AllocMem(pfc, sizeof *begun, 0);
        if (begun != NULL)
            *begun = now;
    } else if (type == SF_NOTIFY_SEND_RESPONSE && begun != NULL) {
        HTTP_FILTER_SEND_RESPONSE *response = data;
        char text[32];
        long us = (now.tv_sec - begun->tv_sec) * 1000000 + (now.tv_nsec - begun->tv_nsec) / 1000;
        snprintf(text, sizeof text, "%ld us", us);
        response->SetHeader(pfc, "X-Made-In:", text);
        if (response->HttpStatus >= 500)
            response->SetHeader(pfc, "Cache-Control:", "no-store");
    }
    return SF_STATUS_REQ_NEXT_NOTIFICATION;
}
