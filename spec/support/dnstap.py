# Reads a file of dnstap messages (Frame Streams, protobuf) without any of the proxy's own code, and prints one Lua table
# a message. dnstap.py FILE; a file that lacks its end is fine only with --open.
import json
import struct
import sys

import dns.message
import dns.rcode
import dns.rdatatype

TYPES = {5: "CLIENT_QUERY", 6: "CLIENT_RESPONSE", 7: "FORWARDER_QUERY", 8: "FORWARDER_RESPONSE"}


def fields(data):
    """A protobuf message as {number: value}; groups do not occur."""
    at, out = 0, {}

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            value = varint()
        elif kind == 2:
            length = varint()
            value, at = data[at:at + length], at + length
        elif kind == 5:
            value, at = struct.unpack_from("<I", data, at)[0], at + 4
        else:
            sys.exit(f"wire type {kind}")
        out[key >> 3] = value
    return out


def frames(data, whole):
    """The data frames between START and STOP."""
    at, started, stopped = 0, False, False
    while at + 4 <= len(data):
        length = struct.unpack_from(">I", data, at)[0]
        at += 4
        if length:
            assert started and not stopped, "a frame outside of the stream"
            if at + length > len(data):
                assert not whole, "a frame that is cut off"
                return
            yield data[at:at + length]
            at += length
            continue
        length = struct.unpack_from(">I", data, at)[0]
        kind = struct.unpack_from(">I", data, at + 4)[0]
        if kind == 2:
            assert not started and b"protobuf:dnstap.Dnstap" in data[at:at + 4 + length], "START"
            started = True
        elif kind == 3:
            assert started and not stopped, "STOP"
            stopped = True
        at += 4 + length
    assert started and (stopped or not whole), "no STOP"


def address(data):
    return None if data is None else ".".join(str(byte) for byte in data) if len(data) == 4 else data.hex()


def text_of(wire):
    message = dns.message.from_wire(wire, continue_on_error=True)
    question = message.question[0] if message.question else None
    return {
        "id": message.id, "rcode": dns.rcode.to_text(message.rcode()), "answers": sum(len(rrset) for rrset in message.answer),
        "name": None if question is None else question.name.to_text(True),
        "type": None if question is None else dns.rdatatype.to_text(question.rdtype),
    }


def lua(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {lua(item)}" for key, item in value.items()) + "}"
    return "nil" if value is None else json.dumps(value)


with open(sys.argv[1], "rb") as file:
    content = file.read()
for frame in frames(content, "--open" not in sys.argv):
    top = fields(frame)
    assert top[15] == 1
    message = fields(top[14])
    print(lua({
        "identity": top.get(1, b"").decode(), "version": top.get(2, b"").decode(), "type": TYPES[message[1]],
        "family": message.get(2), "protocol": message.get(3), "query_address": address(message.get(4)),
        "response_address": address(message.get(5)), "query_port": message.get(6), "response_port": message.get(7),
        "query_time": message.get(8) and message[8] + message[9] / 1e9, "query": message.get(10) and text_of(message[10]),
        "response_time": message.get(12) and message[12] + message[13] / 1e9,
        "response": message.get(14) and text_of(message[14]), "zone": 11 in message,
    }))
