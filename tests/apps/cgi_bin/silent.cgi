#!/bin/sh
# Tells its pids where the test can read them, and says nothing.
sleep 1000 &
echo "$$ $!" >"data/$QUERY_STRING"
wait
