#!/usr/bin/perl
# Answers a form with its length and its words in capitals.
use strict;
use warnings;

my $form = '';
read(STDIN, $form, $ENV{CONTENT_LENGTH} || 0);
print "Status: 201 Made\r\nContent-Type: text/plain\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n";
print uc($form);
