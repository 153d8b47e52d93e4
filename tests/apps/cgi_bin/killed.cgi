#!/bin/sh
# Writes the beginning of an answer, or (whole) all that its Content-Length says, and is killed;
# once there is the file that the query names.
[ "$QUERY_STRING" = whole ] && printf 'Content-Length: 5\n'
printf 'Content-Type: text/plain\n\nbegun'
case "$QUERY_STRING" in
/*) while [ ! -e "$QUERY_STRING" ]; do sleep 0.02; done ;;
esac
kill -SEGV $$
