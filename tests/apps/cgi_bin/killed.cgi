#!/bin/sh
# Writes the beginning of an answer, or (whole) all that its Content-Length says, and is killed;
# after part of it has been sent where the query says so.
[ "$QUERY_STRING" = whole ] && printf 'Content-Length: 5\n'
printf 'Content-Type: text/plain\n\nbegun'
[ "$QUERY_STRING" = sent ] && sleep 0.2
kill -SEGV $$
