/* A compiled filter: each event's structure is read and, where the URL asks for it, written. */
#include "httpfilt.h"

#include <stdlib.h>

WAS_EXPORT BOOL WINAPI GetFilterVersion(HTTP_FILTER_VERSION *version) {
    version->dwFilterVersion = HTTP_FILTER_REVISION;
    strcpy(version->lpszFilterDesc, "compiled filter");
    version->dwFlags = SF_NOTIFY_PREPROC_HEADERS | SF_NOTIFY_URL_MAP | SF_NOTIFY_AUTHENTICATION |
                       SF_NOTIFY_AUTH_COMPLETE | SF_NOTIFY_ACCESS_DENIED | SF_NOTIFY_SEND_RESPONSE |
                       SF_NOTIFY_SEND_RAW_DATA | SF_NOTIFY_END_OF_REQUEST | SF_NOTIFY_LOG |
                       SF_NOTIFY_END_OF_NET_SESSION | SF_NOTIFY_NONSECURE_PORT |
                       SF_NOTIFY_ORDER_MEDIUM;
    return TRUE;
}

static DWORD on_headers(HTTP_FILTER_CONTEXT *pfc, HTTP_FILTER_PREPROC_HEADERS *headers) {
    char url[512], small[2], line[64];
    DWORD size = sizeof url, room = sizeof small;
    int *count = pfc->pFilterContext;
    headers->GetHeader(pfc, "url", url, &size);
    if (strstr(url, "errors")) {
        BOOL answer = headers->GetHeader(pfc, "Host:", small, &room);
        DWORD first = GetLastError(), second, third;
        size = sizeof url;
        headers->GetHeader(pfc, "X-None:", url, &size);
        second = GetLastError();
        headers->SetHeader(pfc, "NoColon", "x");
        third = GetLastError();
        snprintf(line, sizeof line, "X-Errors: %d %u %u %u\r\n", answer, first, second, third);
        pfc->AddResponseHeaders(pfc, line, 0);
    }
    if (strstr(url, "crash"))
        *(volatile int *)NULL = 1;
    if (strstr(url, "move"))
        headers->SetHeader(pfc, "url", "/other.txt");
    if (strstr(url, "own")) {
        DWORD length = 4;
        pfc->ServerSupportFunction(pfc, SF_REQ_SEND_RESPONSE_HEADER, "299 Mine",
                                   (ULONG_PTR) "Content-Type: text/plain\r\n\r\n", 0);
        pfc->WriteClient(pfc, "mine", &length, 0);
        return SF_STATUS_REQ_FINISHED_KEEP_CONN;
    }
    if (count == NULL) {
        count = malloc(sizeof *count);
        *count = 0;
        pfc->pFilterContext = count;
    }
    snprintf(line, sizeof line, "X-Count: %d\r\n", ++*count);
    pfc->AddResponseHeaders(pfc, line, 0);
    return SF_STATUS_REQ_NEXT_NOTIFICATION;
}

WAS_EXPORT DWORD WINAPI HttpFilterProc(HTTP_FILTER_CONTEXT *pfc, DWORD type, VOID *data) {
    char query[256] = "";
    DWORD size = sizeof query;
    pfc->GetServerVariable(pfc, "QUERY_STRING", query, &size);
    switch (type) {
    case SF_NOTIFY_PREPROC_HEADERS:
        return on_headers(pfc, data);
    case SF_NOTIFY_URL_MAP: {
        HTTP_FILTER_URL_MAP *map = data;
        char *plain = strstr(map->pszPhysicalPath, "plain.txt");
        if (strcmp(query, "map") == 0 && plain && map->cbPathBuff >= MAX_PATH)
            strcpy(plain, "other.txt");
        break;
    }
    case SF_NOTIFY_AUTHENTICATION:
        if (strcmp(query, "deny") == 0) {
            SetLastError(ERROR_ACCESS_DENIED);
            return SF_STATUS_REQ_ERROR;
        }
        break;
    case SF_NOTIFY_SEND_RESPONSE: {
        HTTP_FILTER_SEND_RESPONSE *response = data;
        char line[32];
        snprintf(line, sizeof line, "%u", response->HttpStatus);
        response->SetHeader(pfc, "X-Status:", line);
        break;
    }
    case SF_NOTIFY_SEND_RAW_DATA: {
        HTTP_FILTER_RAW_DATA *raw = data;
        if (strcmp(query, "twice") == 0 && strncmp(raw->pvInData, "HTTP/", 5) != 0) {
            char *memory = pfc->AllocMem(pfc, 2 * raw->cbInData, 0);
            memcpy(memory, raw->pvInData, raw->cbInData);
            memcpy(memory + raw->cbInData, raw->pvInData, raw->cbInData);
            raw->pvInData = memory;
            raw->cbInData *= 2;
        }
        break;
    }
    case SF_NOTIFY_LOG: {
        HTTP_FILTER_LOG *log = data;
        if (strcmp(query, "log") == 0)
            log->pszParameters = "logged-by-c";
        break;
    }
    case SF_NOTIFY_END_OF_NET_SESSION:
        free(pfc->pFilterContext);
        pfc->pFilterContext = NULL;
        fprintf(stderr, "filter: end of session\n");
        fflush(stderr);
        break;
    default:
        break;
    }
    return SF_STATUS_REQ_NEXT_NOTIFICATION;
}

WAS_EXPORT BOOL WINAPI TerminateFilter(DWORD flags) {
    fprintf(stderr, "filter: TerminateFilter %u\n", flags);
    fflush(stderr);
    return TRUE;
}
