/* A credit-card number checked by its last digit (Luhn): an ISAPI extension in C.
 *
 *     cc -shared -fPIC -O2 -I "$(was sdk)" -o luhn.so luhn.c
 *     curl 'http://127.0.0.1:8080/luhn?number=4111111111111111'
 */
#include "httpext.h"

static BOOL is_valid(const char *text) {
    int digits[64], count = 0, sum = 0;
    const char *at = strstr(text, "number=");
    if (at == NULL)
        return FALSE;
    for (at += 7; *at != '\0' && *at != '&' && count < 64; at++)
        if (*at >= '0' && *at <= '9')
            digits[count++] = *at - '0';
    for (int i = 0; i < count; i++) {
        int digit = digits[count - 1 - i];
        if (i % 2 == 1)
            digit = digit > 4 ? 2 * digit - 9 : 2 * digit;
        sum += digit;
    }
    return count > 1 && sum % 10 == 0;
}

BOOL WINAPI GetExtensionVersion(HSE_VERSION_INFO *version) {
    version->dwExtensionVersion = MAKELONG(0, 1);
    strcpy(version->lpszExtensionDesc, "Luhn credit card validator");
    return TRUE;
}

DWORD WINAPI HttpExtensionProc(EXTENSION_CONTROL_BLOCK *ecb) {
    HSE_SEND_HEADER_EX_INFO headers = {"200 OK", "Content-Type: text/plain\r\n\r\n", 0, 0, TRUE};
    BOOL is_post = strcmp(ecb->lpszMethod, "POST") == 0;
    LPSTR answer = is_valid(is_post ? (LPSTR)ecb->lpbData : ecb->lpszQueryString)
                       ? "valid\n"
                       : "not valid\n";
    DWORD count = (DWORD)strlen(answer);

    ecb->ServerSupportFunction(ecb->ConnID, HSE_REQ_SEND_RESPONSE_HEADER_EX, &headers, NULL, NULL);
    ecb->WriteClient(ecb->ConnID, answer, &count, HSE_IO_SYNC);
    return HSE_STATUS_SUCCESS;
}

BOOL WINAPI TerminateExtension(DWORD flags) {
    (void)flags;
    return TRUE;
}
