"""The listener process (http.sys)."""
