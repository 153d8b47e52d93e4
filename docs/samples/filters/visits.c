/* Counts the requests of each connection: an ISAPI filter that is there at its end.
 *
 * What pFilterContext points to is the filter's own; END_OF_NET_SESSION is the place to free it.
 *
 *     cc -shared -fPIC -I "$(was sdk)" -o visits.so visits.c
 */
#include "httpfilt.h"

#include <stdlib.h>

BOOL WINAPI GetFilterVersion(HTTP_FILTER_VERSION *version) {
    version->dwFilterVersion = HTTP_FILTER_REVISION;
    strcpy(version->lpszFilterDesc, "visits");
    version->dwFlags =
        SF_NOTIFY_PREPROC_HEADERS | SF_NOTIFY_END_OF_NET_SESSION | SF_NOTIFY_ORDER_DEFAULT;
    return TRUE;
}

DWORD WINAPI HttpFilterProc(HTTP_FILTER_CONTEXT *pfc, DWORD type, VOID *data) {
    unsigned *count = pfc->pFilterContext;

    (void)data;
    if (type == SF_NOTIFY_PREPROC_HEADERS) {
        if (count == NULL)
            count = pfc->pFilterContext = calloc(1, sizeof *count);
        if (count != NULL)
            ++*count;
    } else if (type == SF_NOTIFY_END_OF_NET_SESSION && count != NULL) {
        printf("a visit of %u requests\n", *count); /* to logs/pools/POOL.log */
        fflush(stdout);
        free(count);
        pfc->pFilterContext = NULL;
    }
    return SF_STATUS_REQ_NEXT_NOTIFICATION;
}
