#!/bin/sh
# Starts another program, tells both pids, and stays.
sleep 1000 &
printf 'Content-Type: text/plain\n\n%s %s\n' $$ $!
wait
