/* An ISAPI extension that harms the process it runs in, as the query says: to be run in a pool of its
 * own, to see that nobody else notices.
 *
 *     cc -shared -fPIC -I "$(was sdk)" -o crash.so crash.c
 *     curl 'http://127.0.0.1:8080/crash?null'
 */
#include "httpext.h"

#include <stdlib.h>

BOOL WINAPI GetExtensionVersion(HSE_VERSION_INFO *version) {
    version->dwExtensionVersion = MAKELONG(0, 1);
    strcpy(version->lpszExtensionDesc, "Crashes");
    return TRUE;
}

static void write_to_null(void) {
    volatile int *nowhere = NULL;
    *nowhere = 1;
}

static void loop_for_ever(void) {
    for (volatile unsigned turns = 0;; turns++) {
    }
}

/* Overwrites what its caller left on the stack, return addresses included. */
static void corrupt_stack(void) {
    char here[16];
    char *volatile at = here; /* the compiler is not to see that it goes too far */
    memset(at, 0xA5, 4096);
}

/* A gigabyte that nobody gives back. Without a limit of the pool it is had. */
static void leak(void) {
    for (int i = 0; i < 64; i++)
        memset(malloc(16 << 20), 1, 16 << 20);
}

DWORD WINAPI HttpExtensionProc(EXTENSION_CONTROL_BLOCK *ecb) {
    const char *harm = ecb->lpszQueryString;
    DWORD size = 5;

    if (strcmp(harm, "null") == 0)
        write_to_null();
    else if (strcmp(harm, "abort") == 0)
        abort();
    else if (strcmp(harm, "exit") == 0)
        exit(0);
    else if (strcmp(harm, "loop") == 0)
        loop_for_ever();
    else if (strcmp(harm, "stack") == 0)
        corrupt_stack();
    else if (strcmp(harm, "leak") == 0)
        leak();
    ecb->WriteClient(ecb->ConnID, "alive", &size, HSE_IO_SYNC);
    return HSE_STATUS_SUCCESS;
}
