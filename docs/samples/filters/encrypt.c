/* Encrypts what is sent, for clients that have the key: an ISAPI filter of three events.
 *
 * ChaCha20 (RFC 8439) with the key of the pool's environment variable FILTER_KEY (64 hexadecimal
 * digits) and a nonce for each response, which X-Nonce tells. An exercise: nothing here says that a
 * response was not changed on its way. Who wants secrecy wants TLS.
 *
 *     cc -shared -fPIC -I "$(was sdk)" -o encrypt.so encrypt.c
 */
#include "httpfilt.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

/* One response: the cipher's state, and what is left of the block that it has made last. */
typedef struct {
    uint32_t state[16];
    uint8_t block[64];
    unsigned used;
    BOOL is_on;
    BOOL has_head;
} Stream;

static uint8_t key[32];

static void quarter(uint32_t *x, int a, int b, int c, int d) {
#define MIX(p, q, r, n) (x[p] += x[q], x[r] ^= x[p], x[r] = x[r] << (n) | x[r] >> (32 - (n)))
    MIX(a, b, d, 16), MIX(c, d, b, 12), MIX(a, b, d, 8), MIX(c, d, b, 7);
#undef MIX
}

static void next_block(Stream *stream) {
    uint32_t x[16];
    memcpy(x, stream->state, sizeof x);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 4; i++)
            quarter(x, i, 4 + i, 8 + i, 12 + i);
        for (int i = 0; i < 4; i++)
            quarter(x, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
    }
    for (int i = 0; i < 16; i++)
        x[i] += stream->state[i];
    memcpy(stream->block, x, sizeof x); /* this machine is little-endian, as the cipher is */
    stream->state[12]++;
    stream->used = 0;
}

static void begin(HTTP_FILTER_CONTEXT *pfc, Stream *stream, HTTP_FILTER_SEND_RESPONSE *response) {
    char text[25], *end = text;
    memset(stream, 0, sizeof *stream);
    if (response->HttpStatus != 200 || getrandom(stream->state + 13, 12, 0) != 12)
        return;
    memcpy(stream->state, "expand 32-byte k", 16);
    memcpy(stream->state + 4, key, sizeof key);
    stream->used = sizeof stream->block;
    stream->is_on = TRUE;
    for (int i = 0; i < 12; i++)
        end += sprintf(end, "%02x", ((uint8_t *)(stream->state + 13))[i]);
    response->SetHeader(pfc, "X-Nonce:", text);
    response->SetHeader(pfc, "Content-Type:", "application/octet-stream");
    response->SetHeader(pfc, "Accept-Ranges:", "none"); /* a part cannot be read without the rest */
}

BOOL WINAPI GetFilterVersion(HTTP_FILTER_VERSION *version) {
    const char *text = getenv("FILTER_KEY");
    for (int i = 0; i < 32; i++)
        if (text == NULL || sscanf(text + 2 * i, "%2hhx", key + i) != 1)
            return FALSE; /* better no answer than one in clear */
    version->dwFilterVersion = HTTP_FILTER_REVISION;
    strcpy(version->lpszFilterDesc, "encrypt");
    version->dwFlags = SF_NOTIFY_SEND_RESPONSE | SF_NOTIFY_SEND_RAW_DATA |
                       SF_NOTIFY_END_OF_NET_SESSION | SF_NOTIFY_ORDER_HIGH;
    return TRUE;
}

DWORD WINAPI HttpFilterProc(HTTP_FILTER_CONTEXT *pfc, DWORD type, VOID *data) {
    Stream *stream = pfc->pFilterContext;

    if (type == SF_NOTIFY_SEND_RESPONSE) {
        if (stream == NULL)
            stream = pfc->pFilterContext = malloc(sizeof *stream);
        if (stream == NULL)
            return SF_STATUS_REQ_ERROR;
        begin(pfc, stream, data);
    } else if (type == SF_NOTIFY_SEND_RAW_DATA && stream != NULL && stream->is_on) {
        HTTP_FILTER_RAW_DATA *raw = data;
        uint8_t *bytes = raw->pvInData;
        /* The head comes first, and stays as it is. */
        for (DWORD i = 0; stream->has_head && i < raw->cbInData; i++) {
            if (stream->used == sizeof stream->block)
                next_block(stream);
            bytes[i] ^= stream->block[stream->used++];
        }
        stream->has_head = TRUE;
    } else if (type == SF_NOTIFY_END_OF_NET_SESSION) {
        free(stream);
    }
    return SF_STATUS_REQ_NEXT_NOTIFICATION;
}
