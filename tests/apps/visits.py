"""A module that counts the requests of each client connection, and writes down how one ends."""

import os
from pathlib import Path

from was.api import FINISH_REQUEST, HttpModule, RequestNotification

DATA = Path(__file__).resolve().parent / "data"


class Visit:
    def __init__(self, number):
        self.number = number
        self.requests = 0

    def note(self, event):
        fd = os.open(DATA / "visits", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.write(fd, f"{self.number} {event}\n".encode())
        os.close(fd)

    def notify_disconnect(self):
        self.note("disconnect")

    def cleanup_stored_context(self):
        self.note("cleanup")


class Visits(HttpModule):
    made = 0

    def __init__(self, module_id):
        self.id = module_id

    def on_begin_request(self, context, provider):
        container = context.connection.module_context_container
        visit = container.get_connection_module_context(self.id)
        if visit is None:
            Visits.made += 1
            visit = Visit(Visits.made)
            container.set_connection_module_context(visit, self.id)
        visit.requests += 1
        body = f"{visit.number} {visit.requests}".encode()
        context.response.write_entity_chunks([body])
        return FINISH_REQUEST


class Factory:
    def __init__(self, module_id):
        self.id = module_id

    def get_http_module(self, allocator):
        return Visits(self.id)

    def terminate(self):
        pass


def register_module(server_version, registration_info, http_server):
    registration_info.set_request_notifications(
        Factory(registration_info.id), RequestNotification.BEGIN_REQUEST, 0
    )
