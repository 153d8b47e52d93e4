/* Hello by CGI, with the process that says it. */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    printf("Content-Type: text/plain\nContent-Length: 14\nX-Process: %d\n\nHello, world!\n", getpid());
    return 0;
}
