/* Counts the bytes of its standard input. */
#include <stdio.h>

int main(void)
{
    unsigned long count = 0;
    while (getchar() != EOF)
        count++;
    printf("Content-Type: text/plain\n\n%lu", count);
    return 0;
}
