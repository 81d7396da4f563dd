# A service manager's ear: binds the datagram socket NAME (a path, or @NAME of the abstract space) and prints each state
# that comes, its lines joined by " ; ".
import os
import socket
import sys

name = sys.argv[1]
ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
ear.bind("\0" + name[1:] if name.startswith("@") else name)
print("bound", os.getpid(), flush=True)
while True:
    print(ear.recv(65536).decode().replace("\n", " ; "), flush=True)
