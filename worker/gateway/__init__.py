"""What CGI and FastCGI share: a request as variables, the response as programs write it."""
