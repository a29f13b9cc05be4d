"""Measures pyiso8583 on the message given in hexadecimal; prints a row as codec-bench does."""
import statistics
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
assert iso8583.encode(document, SPEC)[0] == message, "pyiso8583 writes other bytes than it read"


def measure(call):
    rounds = []
    for _ in range(15):
        began = time.perf_counter_ns()
        for _ in range(500):
            call()
        rounds.append((time.perf_counter_ns() - began) / 500)
    return statistics.median(rounds)


decode = measure(lambda: iso8583.decode(message, SPEC))
encode = measure(lambda: iso8583.encode(document, SPEC))
print(f"pyiso8583 4.0.1\t{decode:.0f}\t-\t{encode:.0f}\t-\t{decode + encode:.0f}")
