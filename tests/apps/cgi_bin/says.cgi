#!/usr/bin/perl
# Writes what the query says, decoded, and nothing else.
$_ = $ENV{QUERY_STRING};
s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
print STDERR "complaint of says.cgi\n" if /grumble/;
print;
exit 3 if /fail/;
