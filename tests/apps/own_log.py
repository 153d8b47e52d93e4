"""A log plug-in of a site's own, and an application that shows what it has logged."""

lines = []


class Plug:
    def __init__(self, site_name):
        self.site_name = site_name

    def log_information(self, context):
        if context.path == "/fails":
            raise RuntimeError("the plug-in has failed")
        lines.append(f"{self.site_name} {context.method} {context.path} {context.response.status}")


def application(environ, start_response):
    body = "\n".join(lines).encode()
    status = "404 Not Found" if environ["PATH_INFO"] == "/none" else "200 OK"
    start_response(status, [("Content-Type", "text/plain")])
    return [body]
