/* An extension that does what the query string names, and says what it saw. */
#include "httpext.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

static char journal[4096];
static pthread_mutex_t journal_lock = PTHREAD_MUTEX_INITIALIZER;

static void note(const char *text) {
    pthread_mutex_lock(&journal_lock);
    strncat(journal, text, sizeof journal - strlen(journal) - 1);
    pthread_mutex_unlock(&journal_lock);
}

WAS_EXPORT BOOL WINAPI DllMain(HANDLE module, DWORD reason, LPVOID reserved) {
    char line[32];
    (void)reserved;
    snprintf(line, sizeof line, "DllMain %u %s\n", reason, module ? "h" : "-");
    note(line);
    if (reason != DLL_PROCESS_ATTACH) {
        fprintf(stderr, "probe: DllMain %u\n", reason);
        fflush(stderr);
    }
    return TRUE;
}

__declspec(dllexport) BOOL WINAPI GetExtensionVersion(HSE_VERSION_INFO *version) {
    version->dwExtensionVersion = HSE_VERSION;
    lstrcpyA(version->lpszExtensionDesc, "probe");
    note("GetExtensionVersion\n");
    return TRUE;
}

__declspec(dllexport) BOOL WINAPI TerminateExtension(DWORD flags) {
    fprintf(stderr, "probe: TerminateExtension %u\n", flags);
    fflush(stderr);
    return TRUE;
}

static void headers(EXTENSION_CONTROL_BLOCK *ecb) {
    HSE_SEND_HEADER_EX_INFO info = {"200 OK", "Content-Type: text/plain\r\nX-C: yes\r\n\r\n", 0, 0,
                                    TRUE};
    ecb->ServerSupportFunction(ecb->ConnID, HSE_REQ_SEND_RESPONSE_HEADER_EX, &info, NULL, NULL);
}

static void say(EXTENSION_CONTROL_BLOCK *ecb, const char *format, ...) {
    char text[9000];
    va_list arguments;
    DWORD size;
    va_start(arguments, format);
    size = (DWORD)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ecb->WriteClient(ecb->ConnID, text, &size, HSE_IO_SYNC);
}

static BOOL call(EXTENSION_CONTROL_BLOCK *ecb, DWORD request, LPVOID buffer, DWORD *size,
                 DWORD *type) {
    return ecb->ServerSupportFunction(ecb->ConnID, request, buffer, size, type);
}

/* ── synchronous ────────────────────────────────────────────────────────────────────────────── */

static DWORD block(EXTENSION_CONTROL_BLOCK *ecb) {
    headers(ecb);
    say(ecb, "size %u\nversion %x\nmethod %s\nquery %s\n", ecb->cbSize, ecb->dwVersion,
        ecb->lpszMethod, ecb->lpszQueryString);
    say(ecb, "info %s\ntranslated %s\ntype %s\ntotal %u\navailable %u\n", ecb->lpszPathInfo,
        ecb->lpszPathTranslated, ecb->lpszContentType, ecb->cbTotalBytes, ecb->cbAvailable);
    lstrcpyA(ecb->lpszLogData, "&logged=yes");
    return HSE_STATUS_SUCCESS;
}

static DWORD variables(EXTENSION_CONTROL_BLOCK *ecb) {
    char small[4], large[256];
    WCHAR wide[64];
    DWORD size = sizeof small;
    BOOL answer;
    headers(ecb);
    answer = ecb->GetServerVariable(ecb->ConnID, "SERVER_PROTOCOL", small, &size);
    say(ecb, "small %d %u %u\n", answer, GetLastError(), size);
    size = sizeof large;
    answer = ecb->GetServerVariable(ecb->ConnID, "SERVER_PROTOCOL", large, &size);
    say(ecb, "large %d %u %s\n", answer, size, large);
    SetLastError(0);
    size = sizeof large;
    answer = ecb->GetServerVariable(ecb->ConnID, "NO_SUCH_NAME", large, &size);
    say(ecb, "unknown %d %u\n", answer, GetLastError());
    size = sizeof large;
    answer = ecb->GetServerVariable((HCONN)0x1234, "URL", large, &size);
    say(ecb, "wrong connection %d %u\n", answer, GetLastError());
    size = sizeof wide;
    answer = ecb->GetServerVariable(ecb->ConnID, "UNICODE_HTTPS", (char *)wide, &size);
    say(ecb, "wide %d %u %c%c%c\n", answer, size, wide[0], wide[1], wide[2]);
    answer = call(ecb, 999, NULL, NULL, NULL);
    say(ecb, "no function %d %u\n", answer, GetLastError());
    answer = call(ecb, HSE_REQ_GET_SSPI_INFO, NULL, NULL, NULL);
    say(ecb, "not here %d %u\n", answer, GetLastError());
    return HSE_STATUS_SUCCESS;
}

static DWORD echo(EXTENSION_CONTROL_BLOCK *ecb) {
    DWORD left = ecb->cbTotalBytes - ecb->cbAvailable, size = ecb->cbAvailable;
    char *buffer = malloc(10000);
    headers(ecb);
    ecb->WriteClient(ecb->ConnID, ecb->lpbData, &size, 0);
    while (left > 0) {
        size = left < 10000 ? left : 10000;
        if (!ecb->ReadClient(ecb->ConnID, buffer, &size) || size == 0)
            break;
        left -= size;
        ecb->WriteClient(ecb->ConnID, buffer, &size, HSE_IO_SYNC);
    }
    free(buffer);
    return HSE_STATUS_SUCCESS_AND_KEEP_CONN;
}

static DWORD functions(EXTENSION_CONTROL_BLOCK *ecb) {
    char text[300] = "/a/../b%20c//d?x=1", path[300] = "/some/file.txt", url[] = "/some/file.txt";
    HSE_URL_MAPEX_INFO mapped;
    HSE_TRACE_INFO trace;
    HSE_EXEC_URL_STATUS status;
    HANDLE token = NULL;
    BOOL keep = -1, connected = -1;
    DWORD size = sizeof path, flag = 9;
    headers(ecb);
    call(ecb, HSE_REQ_NORMALIZE_URL, text, NULL, NULL);
    say(ecb, "normalized %s\n", text);
    call(ecb, HSE_REQ_MAP_URL_TO_PATH, path, &size, NULL);
    say(ecb, "mapped %s %d\n", path, size == strlen(path));
    size = sizeof url;
    call(ecb, HSE_REQ_MAP_URL_TO_PATH_EX, url, &size, (DWORD *)&mapped);
    say(ecb, "mapped ex %s %x %u %u\n", mapped.lpszPath, mapped.dwFlags, mapped.cchMatchingURL,
        (unsigned)(strlen(mapped.lpszPath) - mapped.cchMatchingPath));
    call(ecb, HSE_REQ_IS_KEEP_CONN, &keep, NULL, NULL);
    call(ecb, HSE_REQ_IS_CONNECTED, &connected, NULL, NULL);
    call(ecb, HSE_REQ_IS_IN_PROCESS, &flag, NULL, NULL);
    call(ecb, HSE_REQ_GET_IMPERSONATION_TOKEN, &token, NULL, NULL);
    say(ecb, "keep %d connected %d process %u token %d\n", keep, connected, flag, token != NULL);
    trace.fTraceRequest = 7;
    call(ecb, HSE_REQ_GET_TRACE_INFO, &trace, NULL, NULL);
    say(ecb, "trace %d abortive %d\n", trace.fTraceRequest,
        call(ecb, HSE_REQ_ABORTIVE_CLOSE, NULL, NULL, NULL));
    say(ecb, "exec status %d", call(ecb, HSE_REQ_GET_EXEC_URL_STATUS, &status, NULL, NULL));
    say(ecb, " %u\n", GetLastError());
    call(ecb, HSE_APPEND_LOG_PARAMETER, "&appended", NULL, NULL);
    return HSE_STATUS_SUCCESS;
}

static DWORD old_headers(EXTENSION_CONTROL_BLOCK *ecb) {
    call(ecb, HSE_REQ_SEND_RESPONSE_HEADER, "203 Old", NULL,
         (DWORD *)"Content-Type: text/plain\r\n\r\nbody after the headers");
    return HSE_STATUS_SUCCESS;
}

static DWORD custom_error(EXTENSION_CONTROL_BLOCK *ecb) {
    HSE_CUSTOM_ERROR_INFO info = {"403 Forbidden", 4, FALSE};
    call(ecb, HSE_REQ_SEND_CUSTOM_ERROR, &info, NULL, NULL);
    return HSE_STATUS_SUCCESS;
}

static DWORD vector(EXTENSION_CONTROL_BLOCK *ecb) {
    int fd = open("/proc/self/exe", O_RDONLY);
    HSE_VECTOR_ELEMENT elements[3] = {
        {HSE_VECTOR_ELEMENT_TYPE_MEMORY_BUFFER, "head:", 0, 5},
        {HSE_VECTOR_ELEMENT_TYPE_FILE_HANDLE, WAS_HANDLE(fd), 1, 3},
        {HSE_VECTOR_ELEMENT_TYPE_MEMORY_BUFFER, "xx:tail", 2, 5},
    };
    HSE_RESPONSE_VECTOR response = {HSE_IO_SYNC | HSE_IO_SEND_HEADERS | HSE_IO_FINAL_SEND, "200 OK",
                                    "Content-Type: text/plain\r\n\r\n", 3, elements};
    call(ecb, HSE_REQ_VECTOR_SEND, &response, NULL, NULL);
    close(fd);
    return HSE_STATUS_SUCCESS;
}

static DWORD lifecycle(EXTENSION_CONTROL_BLOCK *ecb) {
    headers(ecb);
    say(ecb, "%s", journal);
    return HSE_STATUS_SUCCESS;
}

/* ── asynchronous ───────────────────────────────────────────────────────────────────────────── */

static void *answer_later(void *argument) {
    EXTENSION_CONTROL_BLOCK *ecb = argument;
    DWORD status = HSE_STATUS_SUCCESS;
    Sleep(20);
    headers(ecb);
    say(ecb, "from a thread of mine");
    call(ecb, HSE_REQ_DONE_WITH_SESSION, &status, NULL, NULL);
    return NULL;
}

static DWORD pending(EXTENSION_CONTROL_BLOCK *ecb) {
    pthread_t thread;
    pthread_create(&thread, NULL, answer_later, ecb);
    pthread_detach(thread);
    return HSE_STATUS_PENDING;
}

static void *answer_again(void *argument) {
    EXTENSION_CONTROL_BLOCK *ecb = argument;
    DWORD size = 4, error;
    BOOL done, written;
    char line[64];
    headers(ecb);
    say(ecb, "once");
    call(ecb, HSE_REQ_DONE_WITH_SESSION, NULL, NULL, NULL);
    done = call(ecb, HSE_REQ_DONE_WITH_SESSION, NULL, NULL, NULL);
    error = GetLastError();
    written = ecb->WriteClient(ecb->ConnID, "late", &size, HSE_IO_SYNC);
    snprintf(line, sizeof line, "again %d %u %d %u\n", done, error, written, GetLastError());
    note(line);
    return NULL;
}

static DWORD again(EXTENSION_CONTROL_BLOCK *ecb) {
    pthread_t thread;
    pthread_create(&thread, NULL, answer_again, ecb);
    pthread_detach(thread);
    return HSE_STATUS_PENDING;
}

struct upload {
    DWORD left, got, flags;
    char buffer[5000];
};

static VOID WINAPI on_read(EXTENSION_CONTROL_BLOCK *ecb, PVOID context, DWORD count, DWORD error) {
    struct upload *upload = context;
    DWORD size = sizeof upload->buffer;
    upload->got += count;
    if (error == 0 && count > 0 && upload->got < upload->left &&
        call(ecb, HSE_REQ_ASYNC_READ_CLIENT, upload->buffer, &size, &upload->flags))
        return;
    headers(ecb);
    say(ecb, "read %u error %u", upload->got, error);
    free(upload);
    call(ecb, HSE_REQ_DONE_WITH_SESSION, NULL, NULL, NULL);
}

static DWORD async_read(EXTENSION_CONTROL_BLOCK *ecb) {
    struct upload *upload = calloc(1, sizeof *upload);
    DWORD size = sizeof upload->buffer;
    upload->left = ecb->cbTotalBytes - ecb->cbAvailable;
    upload->flags = HSE_IO_ASYNC;
    if (call(ecb, HSE_REQ_ASYNC_READ_CLIENT, upload->buffer, &size, &upload->flags))
        return HSE_STATUS_ERROR; /* no completion was set: it must fail */
    call(ecb, HSE_REQ_IO_COMPLETION, on_read, NULL, (DWORD *)upload);
    if (!call(ecb, HSE_REQ_ASYNC_READ_CLIENT, upload->buffer, &size, &upload->flags))
        return HSE_STATUS_ERROR;
    return HSE_STATUS_PENDING;
}

static VOID WINAPI on_sent(EXTENSION_CONTROL_BLOCK *ecb, PVOID context, DWORD count, DWORD error) {
    (void)count;
    (void)error;
    close((int)(intptr_t)context);
    call(ecb, HSE_REQ_DONE_WITH_SESSION, NULL, NULL, NULL);
}

static DWORD transmit(EXTENSION_CONTROL_BLOCK *ecb) {
    int fd = open("/proc/self/exe", O_RDONLY);
    HSE_TF_INFO info = {on_sent, WAS_HANDLE(fd), WAS_HANDLE(fd), "200 OK", 5000, 0,
                        "Content-Type: text/plain\r\n\r\n", 28, "END", 3,
                        HSE_IO_ASYNC | HSE_IO_SEND_HEADERS};
    if (!call(ecb, HSE_REQ_TRANSMIT_FILE, &info, NULL, NULL))
        return HSE_STATUS_ERROR;
    return HSE_STATUS_PENDING;
}

static VOID WINAPI on_child(EXTENSION_CONTROL_BLOCK *ecb, PVOID context, DWORD count, DWORD error) {
    HSE_EXEC_URL_STATUS status;
    (void)context;
    (void)count;
    (void)error;
    call(ecb, HSE_REQ_GET_EXEC_URL_STATUS, &status, NULL, NULL);
    ecb->dwHttpStatusCode = status.uHttpStatusCode;
    call(ecb, HSE_REQ_DONE_WITH_SESSION, NULL, NULL, NULL);
}

static DWORD child(EXTENSION_CONTROL_BLOCK *ecb, DWORD flags, char *url) {
    HSE_EXEC_URL_INFO info = {url, NULL, NULL, NULL, NULL, flags};
    call(ecb, HSE_REQ_IO_COMPLETION, on_child, NULL, NULL);
    if (!call(ecb, HSE_REQ_EXEC_URL, &info, NULL, NULL))
        return HSE_STATUS_ERROR;
    return HSE_STATUS_PENDING;
}

static DWORD utf8(EXTENSION_CONTROL_BLOCK *ecb) {
    char path[300];
    DWORD size = sizeof path;
    headers(ecb);
    strcpy(path, ecb->lpszPathInfo);
    call(ecb, HSE_REQ_MAP_URL_TO_PATH, path, &size, NULL);
    say(ecb, "%s", path);
    return HSE_STATUS_SUCCESS;
}

static DWORD bad_vectors(EXTENSION_CONTROL_BLOCK *ecb) {
    HSE_VECTOR_ELEMENT file = {HSE_VECTOR_ELEMENT_TYPE_FILE_HANDLE, WAS_HANDLE(9999), 0, 0};
    HSE_RESPONSE_VECTOR response = {HSE_IO_SYNC | HSE_IO_SEND_HEADERS | HSE_IO_FINAL_SEND, "404 No",
                                    "Content-Type: text/plain\r\n\r\n", 1, NULL};
    DWORD first, second;
    call(ecb, HSE_REQ_VECTOR_SEND, &response, NULL, NULL);
    first = GetLastError();
    response.lpElementArray = &file;
    call(ecb, HSE_REQ_VECTOR_SEND, &response, NULL, NULL);
    second = GetLastError();
    headers(ecb);
    say(ecb, "%u %u", first, second);
    return HSE_STATUS_SUCCESS;
}

static DWORD bad_children(EXTENSION_CONTROL_BLOCK *ecb) {
    HSE_EXEC_URL_USER_INFO user = {WAS_HANDLE(0x9999), NULL, NULL};
    HSE_EXEC_URL_INFO info = {"/luhn", "G ET", NULL, NULL, NULL, 0};
    DWORD first;
    call(ecb, HSE_REQ_IO_COMPLETION, on_child, NULL, NULL);
    call(ecb, HSE_REQ_EXEC_URL, &info, NULL, NULL);
    first = GetLastError();
    info.pszMethod = NULL;
    info.pUserInfo = &user;
    call(ecb, HSE_REQ_EXEC_URL, &info, NULL, NULL);
    headers(ecb);
    say(ecb, "%u %u", first, GetLastError());
    return HSE_STATUS_SUCCESS;
}

/* As a user whose name is wide, and by a wide URL. */
static DWORD wide_child(EXTENSION_CONTROL_BLOCK *ecb) {
    static WCHAR url[] = {'/', 'p', 'r', 'o', 'b', 'e', '?', 'u', 's', 'e', 'r', 0};
    static WCHAR name[] = {'z', 'o', 'e', 0};
    HSE_EXEC_UNICODE_URL_USER_INFO user = {NULL, name, "Custom"};
    HSE_EXEC_UNICODE_URL_INFO info = {url, NULL, NULL, &user, NULL, 0};
    call(ecb, HSE_REQ_IO_COMPLETION, on_child, NULL, NULL);
    if (!call(ecb, HSE_REQ_EXEC_UNICODE_URL, &info, NULL, NULL))
        return HSE_STATUS_ERROR;
    return HSE_STATUS_PENDING;
}

static DWORD user(EXTENSION_CONTROL_BLOCK *ecb) {
    char name[64];
    DWORD size = sizeof name;
    headers(ecb);
    ecb->GetServerVariable(ecb->ConnID, "REMOTE_USER", name, &size);
    say(ecb, "%s", name);
    return HSE_STATUS_SUCCESS;
}

static DWORD redirect(EXTENSION_CONTROL_BLOCK *ecb) {
    char url[64] = "/there\0behind the end";
    DWORD size = sizeof url;
    call(ecb, HSE_REQ_SEND_URL_REDIRECT_RESP, url, &size, NULL);
    return HSE_STATUS_SUCCESS;
}

/* The client has sent but a part of its body, and waits. */
static VOID WINAPI on_loss(EXTENSION_CONTROL_BLOCK *ecb, PVOID context, DWORD count, DWORD error) {
    char line[64];
    snprintf(line, sizeof line, "%s: %u bytes, error %u\n", (char *)context, count, error);
    note(line);
    call(ecb, HSE_REQ_DONE_WITH_SESSION, NULL, NULL, NULL);
}

static void *give_up(void *argument) {
    EXTENSION_CONTROL_BLOCK *ecb = argument;
    Sleep(50);
    call(ecb, strstr(ecb->lpszQueryString, "close") ? HSE_REQ_CLOSE_CONNECTION : HSE_REQ_CANCEL_IO,
         NULL, NULL, NULL);
    return NULL;
}

static DWORD lose(EXTENSION_CONTROL_BLOCK *ecb) {
    static char buffer[2][5000];
    BOOL closes = strstr(ecb->lpszQueryString, "close") != NULL;
    DWORD size = sizeof buffer[0], flags = HSE_IO_ASYNC;
    pthread_t thread;
    call(ecb, HSE_REQ_IO_COMPLETION, on_loss, NULL, (DWORD *)(closes ? "close" : "cancel"));
    if (!call(ecb, HSE_REQ_ASYNC_READ_CLIENT, buffer[closes], &size, &flags))
        return HSE_STATUS_ERROR;
    pthread_create(&thread, NULL, give_up, ecb);
    pthread_detach(thread);
    return HSE_STATUS_PENDING;
}

DWORD WINAPI HttpExtensionProc(EXTENSION_CONTROL_BLOCK *ecb) {
    const char *action = ecb->lpszQueryString;
    if (strncmp(action, "block", 5) == 0) return block(ecb);
    if (strcmp(action, "variables") == 0) return variables(ecb);
    if (strcmp(action, "echo") == 0) return echo(ecb);
    if (strcmp(action, "functions") == 0) return functions(ecb);
    if (strcmp(action, "old") == 0) return old_headers(ecb);
    if (strcmp(action, "custom") == 0) return custom_error(ecb);
    if (strcmp(action, "vector") == 0) return vector(ecb);
    if (strcmp(action, "lifecycle") == 0) return lifecycle(ecb);
    if (strcmp(action, "pending") == 0) return pending(ecb);
    if (strcmp(action, "again") == 0) return again(ecb);
    if (strcmp(action, "read") == 0) return async_read(ecb);
    if (strcmp(action, "transmit") == 0) return transmit(ecb);
    if (strcmp(action, "child") == 0) return child(ecb, 0, "/luhn?number=18");
    if (strcmp(action, "utf8") == 0) return utf8(ecb);
    if (strcmp(action, "bad_vectors") == 0) return bad_vectors(ecb);
    if (strcmp(action, "bad_children") == 0) return bad_children(ecb);
    if (strcmp(action, "wide_child") == 0) return wide_child(ecb);
    if (strcmp(action, "user") == 0) return user(ecb);
    if (strcmp(action, "redirect") == 0) return redirect(ecb);
    if (strncmp(action, "lose", 4) == 0) return lose(ecb);
    if (strcmp(action, "child8") == 0) return child(ecb, 0, "/\xc3\xa4.txt");
    if (strcmp(action, "error") == 0) return HSE_STATUS_ERROR;
    return child(ecb, HSE_EXEC_URL_IGNORE_CURRENT_INTERCEPTOR, NULL);
}
