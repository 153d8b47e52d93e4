"""CGI/1.1: one program a request (RFC 3875)."""
