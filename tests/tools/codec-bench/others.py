"""Measures pyiso8583 on the message given in hexadecimal; speaks with the judge as src/work.rs does."""
import sys
import time

import iso8583
from iso8583.specs import default_ascii

SPEC = {key: dict(value) for key, value in default_ascii.items()}
SPEC["h"]["max_len"] = 0
SPEC["p"] |= {"data_enc": "b"}
SPEC["64"] |= {"data_enc": "b", "max_len": 8}
message = bytes.fromhex(sys.argv[1])
document, _ = iso8583.decode(message, SPEC)


def decode(count):
    for _ in range(count):
        iso8583.decode(message, SPEC)


def encode(count):
    for _ in range(count):
        iso8583.encode(document, SPEC)


same = iso8583.encode(document, SPEC)[0] == message
print("pyiso8583 4.0.1", "" if same else "writes other bytes than it read", sep="\t", flush=True)
for line in sys.stdin:
    words = line.split()
    if words[0] == "allocations":
        print("- -", flush=True)
    else:
        began = time.perf_counter_ns()
        (decode if words[0] == "decode" else encode)(int(words[1]))
        print(time.perf_counter_ns() - began, flush=True)
