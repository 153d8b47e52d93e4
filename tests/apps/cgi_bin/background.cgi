#!/bin/sh
# Leaves a program behind that has nothing of the request, in a session of its own.
setsid sleep 1000 </dev/null >/dev/null 2>&1 &
printf 'Content-Type: text/plain\n\n%s' $!
