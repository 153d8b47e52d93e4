"""Programs that a worker starts for CGI and FastCGI, and the keeper that owns them."""
