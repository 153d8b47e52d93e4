"""The classic demo of the HTTP Server API: create the queue, add a URL, receive, answer.

    WAS_HOME=/path/to/home python demo.py http://+:8080/demo/

Start it twice: both processes share the queue, and each takes the requests that it asks for.
"""

import os
import sys

from was import httpapi


def main() -> None:
    """Serve the URL that the command line names, until interrupted."""
    with httpapi.ServerSession() as session, httpapi.RequestQueue("demo", share=True) as queue:
        group = session.create_url_group()
        group.bind(queue)
        group.add_url(sys.argv[1])
        print("ready", flush=True)
        while True:
            request = queue.receive_request()
            text = f"{request.verb} {request.url} answered by process {os.getpid()}\n"
            queue.send_response(request.id, httpapi.HttpResponse.text(text))


if __name__ == "__main__":
    main()
