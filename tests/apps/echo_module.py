"""A module that is a WebSocket handler, as the native API has it."""

import threading

from was.api import CONTINUE, PENDING, HttpModule, RequestNotification

codes = []


class Echo(HttpModule):
    def on_execute_request_handler(self, context, provider):
        context.response.set_status(101, "Switching Protocols")
        context.response.flush()
        socket = context.named_context_container.get_named_context("websockets")
        if socket is None:
            return CONTINUE
        if context.query == "later":
            threading.Thread(target=self.later, args=(context, socket)).start()
            return PENDING
        self.talk(socket)
        return CONTINUE

    def talk(self, socket):
        while not (part := socket.read_fragment(4)).is_close:
            if part.data == b"stop":
                socket.send_connection_close(4001, "stopped")
            else:
                socket.write_fragment(part.data, part.is_utf8, part.is_final)
        codes.append(socket.get_close_status())

    def later(self, context, socket):
        done = threading.Event()
        seen = []

        def completed(error, part):
            seen.append((error, part))
            done.set()

        assert socket.read_fragment(100, completed) is None
        done.wait(10)
        socket.write_fragment(b"later: " + seen[0][1].data, True)
        socket.send_connection_close()
        while not socket.read_fragment(4).is_close:
            pass
        context.indicate_completion(CONTINUE)


class Factory:
    def get_http_module(self, allocator):
        return Echo()

    def terminate(self):
        pass


def register_module(server_version, registration_info, http_server):
    registration_info.set_request_notifications(
        Factory(), RequestNotification.EXECUTE_REQUEST_HANDLER, 0
    )
