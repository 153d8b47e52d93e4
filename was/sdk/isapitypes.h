/* Types of Windows that httpext.h and httpfilt.h are written in, for LP64 Linux.
 *
 * Sizes are those of Windows: DWORD 32 bits, WCHAR 16, pointers 64. A file HANDLE is a descriptor:
 * use WAS_HANDLE(fd). Functions have the system's calling convention.
 */
#ifndef WAS_ISAPITYPES_H
#define WAS_ISAPITYPES_H

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#if !defined(__LP64__)
#error "extensions are for 64-bit Linux"
#endif

typedef int32_t BOOL;
typedef int32_t LONG;
typedef int32_t INT;
typedef int32_t HRESULT;
typedef uint32_t DWORD;
typedef uint32_t ULONG;
typedef uint32_t UINT;
typedef uint16_t WORD;
typedef uint16_t USHORT;
typedef uint8_t BYTE;
typedef uint8_t UCHAR;
typedef char CHAR;
typedef uint16_t WCHAR;
typedef uint64_t ULONGLONG;
typedef int64_t LONGLONG;
typedef uint64_t DWORD64;
typedef uintptr_t ULONG_PTR;
typedef uintptr_t DWORD_PTR;
typedef void VOID;
typedef void *PVOID;
typedef void *LPVOID;
typedef const void *LPCVOID;
typedef void *HANDLE;
typedef HANDLE HINSTANCE;
typedef HANDLE HMODULE;
typedef char *LPSTR;
typedef char *PSTR;
typedef char *PCHAR;
typedef const char *LPCSTR;
typedef const char *PCSTR;
typedef WCHAR *LPWSTR;
typedef WCHAR *PWSTR;
typedef const WCHAR *LPCWSTR;
typedef const WCHAR *PCWSTR;
typedef BYTE *LPBYTE;
typedef BYTE *PBYTE;
typedef DWORD *LPDWORD;
typedef DWORD *PDWORD;
typedef BOOL *LPBOOL;
typedef BOOL *PBOOL;
typedef WORD *LPWORD;

#ifndef TRUE
#define TRUE 1
#define FALSE 0
#endif
#define MAX_PATH 260
#define INVALID_HANDLE_VALUE ((HANDLE)(intptr_t)-1)
#define WAS_HANDLE(fd) ((HANDLE)(intptr_t)(fd))

/* The compiler's own convention. */
#define WINAPI
#define CALLBACK
#define APIENTRY
#define __cdecl
#define __stdcall
#define IN
#define OUT
#define OPTIONAL
#define UNREFERENCED_PARAMETER(p) ((void)(p))
#if defined(__GNUC__)
#define WAS_EXPORT __attribute__((visibility("default")))
#else
#define WAS_EXPORT
#endif
/* __declspec(dllexport) as Windows sources write it. */
#define dllexport visibility("default")
#define dllimport visibility("default")
#define __declspec(attribute) __attribute__((attribute))

#define MAKELONG(low, high) ((LONG)(((DWORD)(WORD)(high) << 16) | (WORD)(low)))
#define LOWORD(l) ((WORD)((DWORD)(l) & 0xffff))
#define HIWORD(l) ((WORD)((DWORD)(l) >> 16))

/* DllMain */
#define DLL_PROCESS_DETACH 0
#define DLL_PROCESS_ATTACH 1
#define DLL_THREAD_ATTACH 2
#define DLL_THREAD_DETACH 3

/* A server function that answers FALSE leaves its Win32 error in the thread's errno. */
#define NO_ERROR 0
#define ERROR_SUCCESS 0
#define ERROR_FILE_NOT_FOUND 2
#define ERROR_PATH_NOT_FOUND 3
#define ERROR_ACCESS_DENIED 5
#define ERROR_INVALID_HANDLE 6
#define ERROR_NOT_ENOUGH_MEMORY 8
#define ERROR_INVALID_DATA 13
#define ERROR_READ_FAULT 30
#define ERROR_HANDLE_EOF 38
#define ERROR_NOT_SUPPORTED 50
#define ERROR_NETNAME_DELETED 64
#define ERROR_INVALID_PARAMETER 87
#define ERROR_INSUFFICIENT_BUFFER 122
#define ERROR_MOD_NOT_FOUND 126
#define ERROR_PROC_NOT_FOUND 127
#define ERROR_BAD_EXE_FORMAT 193
#define ERROR_ALREADY_EXISTS 183
#define ERROR_NO_DATA 232
#define ERROR_MORE_DATA 234
#define ERROR_OPERATION_ABORTED 995
#define ERROR_IO_PENDING 997
#define ERROR_STACK_OVERFLOW 1001
#define ERROR_NOT_FOUND 1168
#define ERROR_CONNECTION_INVALID 1229
#define ERROR_LOGON_FAILURE 1326
#define ERROR_INVALID_INDEX 1413
#define WSAEINVAL 10022
#define WSAECONNRESET 10054

#define S_OK ((HRESULT)0)
#define S_FALSE ((HRESULT)1)
#define E_NOTIMPL ((HRESULT)0x80004001)
#define E_FAIL ((HRESULT)0x80004005)
#define E_UNEXPECTED ((HRESULT)0x8000FFFF)
#define E_OUTOFMEMORY ((HRESULT)0x8007000E)
#define E_INVALIDARG ((HRESULT)0x80070057)
#define SUCCEEDED(hr) ((HRESULT)(hr) >= 0)
#define FAILED(hr) ((HRESULT)(hr) < 0)
#define HRESULT_FROM_WIN32(x)                                                                      \
    ((HRESULT)(x) <= 0 ? (HRESULT)(x) : (HRESULT)(((DWORD)(x) & 0xFFFF) | 0x80070000))

static inline DWORD GetLastError(void) { return (DWORD)errno; }
static inline void SetLastError(DWORD error) { errno = (int)error; }

/* What sources for Windows call most. */
#define lstrlenA(text) ((int)strlen(text))
#define lstrcpyA strcpy
#define lstrcatA strcat
#define lstrcmpA strcmp
#define lstrcmpiA strcasecmp
#define lstrlen lstrlenA
#define lstrcpy lstrcpyA
#define lstrcat lstrcatA
#define lstrcmpi lstrcmpiA
#define wsprintfA sprintf
#define wsprintf sprintf
#define _snprintf snprintf
#define _vsnprintf vsnprintf
#define _stricmp strcasecmp
#define _strnicmp strncasecmp
#define stricmp strcasecmp
#define strnicmp strncasecmp
#define ZeroMemory(to, count) memset((to), 0, (count))
#define CopyMemory(to, from, count) memcpy((to), (from), (count))
#define MoveMemory(to, from, count) memmove((to), (from), (count))
#define FillMemory(to, count, byte) memset((to), (byte), (count))
#define InterlockedIncrement(value) ((LONG)__atomic_add_fetch((value), 1, __ATOMIC_SEQ_CST))
#define InterlockedDecrement(value) ((LONG)__atomic_sub_fetch((value), 1, __ATOMIC_SEQ_CST))
#define InterlockedExchange(value, to) ((LONG)__atomic_exchange_n((value), (to), __ATOMIC_SEQ_CST))

/* The thread that has entered may enter again. */
typedef pthread_mutex_t CRITICAL_SECTION, *LPCRITICAL_SECTION;

static inline VOID InitializeCriticalSection(LPCRITICAL_SECTION section) {
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(section, &kind);
    pthread_mutexattr_destroy(&kind);
}
static inline VOID EnterCriticalSection(LPCRITICAL_SECTION section) { pthread_mutex_lock(section); }
static inline VOID LeaveCriticalSection(LPCRITICAL_SECTION section) {
    pthread_mutex_unlock(section);
}
static inline VOID DeleteCriticalSection(LPCRITICAL_SECTION section) {
    pthread_mutex_destroy(section);
}

static inline void Sleep(DWORD milliseconds) {
    struct timespec pause = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000L};
    while (nanosleep(&pause, &pause) != 0 && errno == EINTR) {
    }
}

#endif
