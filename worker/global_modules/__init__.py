"""Global modules: their base, the GL_ notifications, and IHttpServer, which all modules ask."""
