#!/bin/sh
# A whole response of its own.
printf 'HTTP/1.1 418 Short and stout\r\nX-Raw: yes\r\nConnection: close\r\n\r\nteapot'
