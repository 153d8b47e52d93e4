#!/usr/bin/perl
# Eight MiB, and reads none of its input.
print "Content-Type: application/octet-stream\n\n", "x" x 8388608;
