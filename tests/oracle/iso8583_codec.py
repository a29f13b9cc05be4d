"""Judges the codec with pyiso8583 (MIT), set up for UnionPay terminals independently of posd's own table.

Reads lines of JSON with "bytes" (hexadecimal) and "message" ("mti", "fields"); answers each with the bytes that it
writes for the message and the message that it reads from the bytes. Packed elements are digits, all others hexadecimal.
"""
import json
import sys

import iso8583


def text(length, prefix=0):
    return {"data_enc": "latin-1", "len_enc": "bcd", "len_type": prefix, "max_len": length, "desc": ""}


def binary(length, prefix=0):
    return {"data_enc": "b", "len_enc": "bcd", "len_type": prefix, "max_len": length, "desc": ""}


def packed(length, prefix=0, side="right_pad"):
    return binary(length, prefix) | {"len_count": "nibbles", side: "0"}


SPEC = {"h": text(0), "t": binary(2), "p": binary(8)}
SPEC |= {str(number): text(0) for number in range(1, 129)}
SPEC |= {
    "2": packed(19, 1), "3": packed(6), "4": packed(12), "11": packed(6), "12": packed(6), "13": packed(4),
    "14": packed(4), "15": packed(4), "22": packed(3), "23": packed(3, 0, "left_pad"), "25": packed(2),
    "26": packed(2), "32": packed(11, 1), "35": packed(37, 1), "36": packed(104, 2), "37": text(12), "38": text(6),
    "39": text(2), "41": text(8), "42": text(15), "44": text(25, 1), "48": packed(322, 2), "49": text(3),
    "52": binary(8), "53": packed(16), "54": text(120, 2), "55": binary(255, 2), "57": text(999, 2),
    "58": text(100, 2), "59": text(999, 2), "60": packed(17, 2), "61": packed(29, 2), "62": binary(999, 2),
    "63": text(163, 2), "64": binary(8),
}


def is_text(number):
    return SPEC[number]["data_enc"] != "b"


def encode(message):
    document = {"t": message["mti"]}
    for number, value in message["fields"].items():
        document[number] = bytes.fromhex(value).decode("latin-1") if is_text(number) else value
    written, _ = iso8583.encode(document, SPEC)
    return written.hex().upper()


def decode(message):
    document, _ = iso8583.decode(bytes.fromhex(message), SPEC)
    fields = {}
    for number in sorted((key for key in document if key.isdigit()), key=int):
        value = document[number]
        fields[number] = value.encode("latin-1").hex().upper() if is_text(number) else value
    return {"mti": document["t"], "fields": fields}


if __name__ == "__main__":
    for line in sys.stdin:
        question = json.loads(line)
        answer = {"bytes": encode(question["message"]), "message": decode(question["bytes"])}
        print(json.dumps(answer))
