"""What runs inside the lab's own network: raises its loopback and hands out connections to ports in there.

A socket belongs to the network it was made in, whoever holds it. A test writes a port number to the door, a socket
file, and is given a TCP connection to that port of 127.0.0.1.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import sys

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
LINE = "16sh14x"  # struct ifreq: a name, flags, the rest


def raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack(LINE, b"lo", 0))
        flags = struct.unpack(LINE, answer)[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack(LINE, b"lo", flags | IFF_UP))


def hand_out(door: str) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(door)
        listening.listen()
        while True:
            asking, _ = listening.accept()
            with asking:
                port = int(asking.recv(16))
                try:
                    made = socket.create_connection(("127.0.0.1", port), 5)
                except OSError:
                    asking.sendall(b"n")
                    continue
                with made:
                    socket.send_fds(asking, [b"y"], [made.fileno()])


if __name__ == "__main__":
    raise_loopback()
    hand_out(sys.argv[1])
