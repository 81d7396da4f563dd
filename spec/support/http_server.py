"""HTTP servers for specs: http_server.py PORT[=PEM] …, each on 127.0.0.1, over TLS where there is a file with certificate and
key. What they do is in the path. A connection takes several requests. Each request prints a line, METHOD PATH by
CONNECTION, each end of one "over CONNECTION"; "ready" is the first."""
import itertools
import socket
import ssl
import sys
import threading
from urllib.parse import unquote

TEXT = b"plain text"
LEAVE = object()  # what ends the connection behind an answer; as does an answer without an end of its own


def tell(line):
    """Prints a line in one piece, as several threads do."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def read_request(stream):
    line = stream.readline().decode("latin-1").split()
    headers = {}
    while True:
        header = stream.readline().decode("latin-1").strip()
        if not header:
            break
        name, _, value = header.partition(":")
        headers.setdefault(name.lower(), []).append(value.strip())
    length = int(headers.get("content-length", ["0"])[0])
    return line[0], line[1], headers, stream.read(length)


def head(status, headers=(), reason="Fine"):
    lines = ["HTTP/1.1 %d %s" % (status, reason)] + ["%s: %s" % pair for pair in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def whole(body, status=200, headers=()):
    return head(status, list(headers) + [("Content-Length", str(len(body)))]) + body


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def echo(request, argument):
    method, path, headers, body = request
    lines = ["%s %s" % (method, path)] + ["%s: %s" % (name, "|".join(headers[name])) for name in sorted(headers)]
    yield whole(("\n".join(lines) + "\n\n").encode() + body, headers=[("X-Two", "a"), ("x-two", "b"), ("X-Empty", "")])


def status(request, argument):
    yield whole(b"", int(argument))


def to(request, argument):
    code, _, target = argument.partition("/")
    yield whole(b"elsewhere", int(code), [("Location", unquote(target))])


def count(request, argument):
    left = int(argument)
    yield whole(b"", 302, [("Location", "/count/%d" % (left - 1))]) if left else whole(TEXT)


def chunked(request, argument):
    yield head(200, [("Transfer-Encoding", "chunked")])
    for part in b"in ", b"three ", b"parts":
        yield chunk(part)
    yield b"0\r\n\r\n"


def until_close(request, argument):
    yield b"HTTP/1.0 200 OK\r\n\r\n" + TEXT


def cut(request, argument):
    yield head(200, [("Content-Length", "1000")]) + TEXT


def cut_chunk(request, argument):
    yield head(200, [("Transfer-Encoding", "chunked")]) + b"ff\r\n" + TEXT


def sized(request, argument):
    yield whole(b"x" * int(argument))


def endless(request, argument):
    yield head(200, [("Transfer-Encoding", "chunked")])
    while True:
        yield chunk(b"x" * 65536)


def endless_headers(request, argument):
    yield b"HTTP/1.1 200 OK\r\n"
    while True:
        yield b"X-More: " + b"x" * 1000 + b"\r\n"


def garbage(request, argument):
    yield b"220 this is another service\r\n\r\n"


def block_list(request, argument):
    yield whole(b"! a list\n||ads.example^\n0.0.0.0 tracker.example\n/banner/\n")


def policy(request, argument):
    yield whole(b'{"result": %s}' % (b"false" if b"bad" in request[3] else b"true"))


def leaving(request, argument):
    yield whole(TEXT)
    yield LEAVE


def closing(request, argument):
    yield whole(TEXT, headers=[("Connection", "close")])
    yield LEAVE


def more(request, argument):
    yield whole(TEXT) + whole(b"that nobody asked for")


def silent(request, argument):
    yield None


def trickle(request, argument):
    yield head(200, [("Content-Length", "1000")]) + TEXT
    yield None


ACTIONS = {action.__name__: action for action in (
    echo, status, to, count, block_list, policy, chunked, until_close, cut, cut_chunk, sized, endless, endless_headers, garbage,
    leaving, closing, more, silent, trickle)}
UNENDED = {"until_close", "cut", "cut_chunk", "garbage"}


def answer(connection, request):
    """Whether the connection takes another request."""
    name, _, argument = request[1][1:].partition("/")
    name = name.partition("?")[0]
    for part in ACTIONS.get(name, lambda *_: [whole(TEXT)])(request, argument):
        if part is LEAVE:
            return False
        if part is None:
            connection.recv(1)  # waits for the client to leave
            tell(f"left {request[1]}")
            return False
        if request[0] == "HEAD":
            part = part[:part.index(b"\r\n\r\n") + 4]
        connection.sendall(part)
    return name not in UNENDED and "close" not in request[2].get("connection", [])


def serve(connection, context, number):
    with connection:
        try:
            connection.settimeout(60)
            if context:
                connection = context.wrap_socket(connection, server_side=True)
            stream = connection.makefile("rb")
            while True:
                request = read_request(stream)
                tell(f"{request[0]} {request[1]} by {number}")
                if not answer(connection, request):
                    break
            if context:
                connection.unwrap()
        except (OSError, ValueError, IndexError):
            pass
        tell(f"over {number}")


NUMBERS = itertools.count(1)


def accept(listener, context):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, context, next(NUMBERS)), daemon=True).start()


for place in sys.argv[1:]:
    port, _, pem = place.partition("=")
    context = None
    if pem:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
    listener = socket.create_server(("127.0.0.1", int(port)), backlog=1024)
    threading.Thread(target=accept, args=(listener, context), daemon=True).start()
tell("ready")
threading.Event().wait()
