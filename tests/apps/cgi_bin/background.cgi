#!/bin/sh
# Leaves a program behind that has nothing of the request, in a session of its own: it says its pid
# when it has that, and lets go of the output.
printf 'Content-Type: text/plain\n\n'
setsid sh -c 'echo $$; exec sleep 1000 </dev/null >/dev/null 2>&1' &
