# A service manager's sockets: opens each SOCKET and runs the program with them, as systemd does (sd_listen_fds(3)). When it
# ends, waits for the file AGAIN and runs it once more, with the same sockets; ends with the second one's code.
# activate.py AGAIN SOCKET… -- PROGRAM ARGUMENT…; a SOCKET is udp:ADDRESS:PORT, tcp:ADDRESS:PORT, or unix, which no DNS
# server can use.
import ctypes
import os
import signal
import socket
import sys
import time

PR_SET_PDEATHSIG, FIRST = 1, 3


def open_socket(text):
    if text == "unix":
        return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    kind, address, port = text.split(":")
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.bind((address, int(port)))
    if kind == "tcp":
        opened.listen(16)
    return opened


def run(sockets, program):
    child = os.fork()
    if child:
        signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    high = [os.dup(opened.fileno()) for opened in sockets]
    high = [os.dup2(fd, 100 + i) for i, fd in enumerate(high)]
    for i, fd in enumerate(high):
        os.dup2(fd, FIRST + i)
        os.close(fd)
    os.environ.update(LISTEN_FDS=str(len(high)), LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES=":".join(["dns"] * len(high)))
    os.execv(program[0], program)


again, rest = sys.argv[1], sys.argv[2:]
split = rest.index("--")
sockets = [open_socket(text) for text in rest[:split]]
code = run(sockets, rest[split + 1:])
if again != "never":
    print("ended with", code, flush=True)
    while not os.path.exists(again):
        time.sleep(0.01)
    code = run(sockets, rest[split + 1:])
sys.exit(code)
