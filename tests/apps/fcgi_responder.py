"""A FastCGI responder with its own record code, that does what the query says.

`multiplex` as an argument: several requests at once on a connection. `gentle=FILE`: writes down
that it is to end, and ends; `stubborn=FILE`: writes it down, and goes on.
"""

import contextlib
import os
import signal
import socket
import struct
import sys
import threading
import time

MULTIPLEXES = "multiplex" in sys.argv
served = 0


def pairs(data):
    found, at = {}, 0
    while at < len(data):
        lengths = []
        for _ in range(2):
            if data[at] < 128:
                lengths.append(data[at])
                at += 1
            else:
                lengths.append(struct.unpack_from(">I", data, at)[0] & 0x7FFFFFFF)
                at += 4
        name = data[at : at + lengths[0]]
        at += lengths[0]
        found[name.decode()] = data[at : at + lengths[1]].decode("latin-1")
        at += lengths[1]
    return found


def record(kind, number, content):
    padding = -len(content) % 8
    return (
        struct.pack(">BBHHBx", 1, kind, number, len(content), padding) + content + b"\0" * padding
    )


class Peer:
    def __init__(self, stream):
        self.stream = stream
        self.lock = threading.Lock()
        self.requests = {}
        self.ended = 0  # a request of which more is said when the next one comes

    def send(self, kind, number, content=b""):
        with self.lock:
            self.stream.sendall(record(kind, number, content))

    def end(self, number, protocol_status=0):
        self.send(6, number)
        self.send(3, number, struct.pack(">IB3x", 0, protocol_status))

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.stream.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def run(self):
        while True:
            _, kind, number, length, padding = struct.unpack(">BBHHBx", self.exactly(8))
            content = self.exactly(length + padding)[:length]
            if kind == 9:
                value = b"1" if MULTIPLEXES else b"0"
                names = {b"FCGI_MPXS_CONNS": value, b"FCGI_MAX_REQS": b"10"}
                answer = b"".join(bytes((len(k), len(v))) + k + v for k, v in names.items())
                self.send(10, 0, answer)
            elif kind == 1:
                if self.ended:
                    self.send(6, self.ended, b"Content-Type: text/html\r\n\r\nsomebody else's")
                    self.send(7, self.ended, b"a complaint of somebody else's")
                    self.end(self.ended)
                    self.ended = 0
                self.requests[number] = [b"", b"", content[2] & 1]
            elif kind == 2:
                sys.stderr.write("aborted\n")
                sys.stderr.flush()
            elif kind == 4 and content:
                self.requests[number][0] += content
            elif kind == 5 and content:
                self.requests[number][1] += content
            elif kind == 5 and number in self.requests:
                variables, body, keeps = self.requests.pop(number)
                arguments = (number, pairs(variables), body)
                if MULTIPLEXES:
                    threading.Thread(target=self.answer, args=arguments, daemon=True).start()
                else:
                    self.answer(*arguments)
                    if not keeps:
                        return

    def answer(self, number, variables, body):
        global served
        served += 1
        todo = variables["QUERY_STRING"]
        if todo == "die":
            os._exit(7)
        if todo == "hang":
            time.sleep(1000)
        if todo == "overloaded":
            self.end(number, 2)
            return
        if todo.startswith("note="):
            with open(todo[5:], "ab") as note:
                note.write(body + b"\n")
        if todo.startswith("fatal="):
            with open(todo[6:], "ab") as note:
                note.write(body + b"\n")
            os._exit(7)
        if todo.startswith("wait="):
            while not os.path.exists(todo[5:].removesuffix("&large")):
                time.sleep(0.01)
        if todo == "complain":
            self.send(7, number, b"a complaint")
        if todo == "nonsense":
            self.send(6, number, b"no header at all\n\n")
        self.send(6, number, b"Content-Type: text/plain\r\n\r\n")
        if todo.startswith("until="):
            self.send(6, number, b"begun\n")
            while not os.path.exists(todo[6:]):
                time.sleep(0.01)
        if todo.endswith("large"):
            for _ in range(10):
                self.send(6, number, b"x" * 30000)
        if todo.startswith("halves="):
            self.send(6, number, b"half")
            while not os.path.exists(todo[7:]):
                time.sleep(0.01)
            os._exit(0)
        told = f"{os.getpid()} {served} {len(body)} {os.environ.get('COLOUR')}\n"
        self.send(6, number, told.encode())
        self.end(number)
        if todo == "late":
            self.ended = number
        if todo == "leave":
            self.stream.shutdown(socket.SHUT_RDWR)
            os._exit(0)


def on_sigterm(*_):
    kind, _, file = next(a for a in sys.argv if "=" in a).partition("=")
    with open(file, "w") as note:
        note.write(str(time.monotonic()))
    if kind == "gentle":
        os._exit(0)


def main():
    if any("=" in argument for argument in sys.argv):
        signal.signal(signal.SIGTERM, on_sigterm)
    listener = socket.socket(fileno=0)
    while True:
        stream, _ = listener.accept()
        if MULTIPLEXES:
            threading.Thread(target=serve, args=(stream,), daemon=True).start()
        else:
            serve(stream)


def serve(stream):
    with stream, contextlib.suppress(EOFError, OSError):
        Peer(stream).run()


main()
