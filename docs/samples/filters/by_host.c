/* A folder for each host name, as by_host.py: an ISAPI filter that says which file a URL stands for.
 *
 *     cc -shared -fPIC -I "$(was sdk)" -o by_host.so by_host.c
 */
#include "httpfilt.h"

#include <ctype.h>
#include <sys/stat.h>

BOOL WINAPI GetFilterVersion(HTTP_FILTER_VERSION *version) {
    version->dwFilterVersion = HTTP_FILTER_REVISION;
    strcpy(version->lpszFilterDesc, "by host");
    version->dwFlags = SF_NOTIFY_URL_MAP | SF_NOTIFY_ORDER_DEFAULT;
    return TRUE;
}

/* The host name in lower case without its port; FALSE for what is no name, ".." above all. */
static BOOL host_of(HTTP_FILTER_CONTEXT *pfc, char *host, DWORD size) {
    if (!pfc->GetServerVariable(pfc, "HTTP_HOST", host, &size) || !isalnum((unsigned char)*host))
        return FALSE;
    for (; *host && *host != ':'; host++) {
        *host = (char)tolower((unsigned char)*host);
        if (!isalnum((unsigned char)*host) && *host != '.' && *host != '-')
            return FALSE;
    }
    *host = '\0';
    return TRUE;
}

DWORD WINAPI HttpFilterProc(HTTP_FILTER_CONTEXT *pfc, DWORD type, VOID *data) {
    HTTP_FILTER_URL_MAP *map = data;
    char host[256], path[4096];
    struct stat found;
    size_t root;

    if (type != SF_NOTIFY_URL_MAP || !host_of(pfc, host, sizeof host))
        return SF_STATUS_REQ_NEXT_NOTIFICATION;
    root = strlen(map->pszPhysicalPath) - strlen(map->pszURL);
    /* Only what lies below the root as the URL says; aliases stay as they are. */
    if (strlen(map->pszPhysicalPath) < strlen(map->pszURL) ||
        strcmp(map->pszPhysicalPath + root, map->pszURL) != 0)
        return SF_STATUS_REQ_NEXT_NOTIFICATION;
    snprintf(path, sizeof path, "%.*s/%s", (int)root, map->pszPhysicalPath, host);
    if (stat(path, &found) == 0 && S_ISDIR(found.st_mode) &&
        strlen(path) + strlen(map->pszURL) < map->cbPathBuff)
        strcpy(map->pszPhysicalPath, strcat(path, map->pszURL));
    return SF_STATUS_REQ_NEXT_NOTIFICATION;
}
