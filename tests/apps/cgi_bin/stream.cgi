#!/bin/sh
# Writes a line, waits for a file of the name in the query, writes another.
printf 'Content-Type: text/plain\n\nfirst\n'
while [ ! -e "data/$QUERY_STRING" ]; do sleep 0.02; done
echo second
