"""What other codecs make of record data: dnspython, and ldns through its shared library. A line of the file given is the type's
number and name, the data in hex, and its text, between tabs; a line of output is a JSON object of two, "dnspython" and "ldns", each
with the text that the data gives, the data that the text gives (in hex), and dnspython with the fields that the data gives.
What they refuse is missing."""
import ctypes
import io
import json
import sys

import dns.immutable
import dns.name
import dns.rdata

OWNER, HEAD = b"\x01a\x00", 13  # the owner, and the bytes in front of the data


def wire(param):
    out = io.BytesIO()
    if param is not None:
        param.to_wire(out)
    return out.getvalue().hex()


def plain(value):
    """A field as Lua has it: bytes in hex, names in lower case without the final dot."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dns.name.Name):
        return value.to_text(omit_final_dot=True).lower() if value != dns.name.root else "."
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if isinstance(value, dns.immutable.Dict):
        return {str(int(key)): wire(item) for key, item in value.items()}
    if isinstance(value, (float, str)) or value is None:
        return value
    return int(value) if isinstance(value, int) else str(value)


def text_of(rdata):
    try:
        return rdata.to_text(chunksize=0)
    except TypeError:  # OPENPGPKEY has chunks of its own
        return rdata.to_text()


def dnspython(rdtype, name, data, text):
    result = {"known": dns.rdata.get_rdata_class(1, rdtype) is not dns.rdata.GenericRdata}
    try:
        rdata = dns.rdata.from_wire("IN", rdtype, data, 0, len(data))
        result["text"] = text_of(rdata)
        names = set(rdata._get_all_slots()) | set(getattr(rdata, "__dict__", ()))
        result["fields"] = {name: plain(getattr(rdata, name)) for name in names if hasattr(rdata, name)}
    except Exception:
        pass
    try:
        result["data"] = dns.rdata.from_text("IN", rdtype, text).to_wire().hex()
    except Exception:
        pass
    return result


library = ctypes.CDLL("libldns.so.3")
pointer, size_t = ctypes.c_void_p, ctypes.c_size_t
library.ldns_wire2rr.argtypes = pointer, ctypes.c_char_p, size_t, pointer, ctypes.c_int
library.ldns_rr2str.argtypes, library.ldns_rr2str.restype = [pointer], pointer
library.ldns_rr_new_frm_str.argtypes = pointer, ctypes.c_char_p, ctypes.c_uint32, pointer, pointer
library.ldns_rr2wire.argtypes = pointer, pointer, ctypes.c_int, pointer


def ldns(rdtype, name, data, text):
    result, record = {"known": False}, pointer()
    wire = OWNER + rdtype.to_bytes(2, "big") + b"\0\1\0\0\0\x3c" + len(data).to_bytes(2, "big") + data
    position = size_t(0)
    if library.ldns_wire2rr(ctypes.byref(record), wire, len(wire), ctypes.byref(position), 1) == 0:
        printed = library.ldns_rr2str(record)
        words = ctypes.string_at(printed or b"").decode("ascii").rstrip("\n").split("\t", 4)
        if len(words) > 3:
            result["text"] = words[4] if len(words) > 4 else ""
            result["known"] = words[3] == name and not result["text"].startswith("\\#")
    line = ("a. 60 IN %s %s" % (name, text)).encode()
    if library.ldns_rr_new_frm_str(ctypes.byref(record), line, 0, None, None) == 0:
        made, size = pointer(), size_t()
        if library.ldns_rr2wire(ctypes.byref(made), record, 1, ctypes.byref(size)) == 0:
            result["data"] = ctypes.string_at(made, size.value)[HEAD:].hex()
    return result


for line in open(sys.argv[1]).read().split("\n")[:-1]:
    number, name, data, text = line.split("\t")
    arguments = int(number), name, bytes.fromhex(data), text
    print(json.dumps({"dnspython": dnspython(*arguments), "ldns": ldns(*arguments)}), flush=True)
