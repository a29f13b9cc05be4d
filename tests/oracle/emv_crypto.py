"""An independent opinion on cryptograms: pyemv 1.5.0 computes what our simulated card and bank should have.

Reads one JSON object a line (imk, pan, psn, tags by hex name, scheme, arc), writes one JSON object a line (arqc, arpc).
Nothing here knows how posd does it.
"""

import json
import sys

from pyemv import ac, cvn, kd

ORDER = ["9F02", "9F03", "9F1A", "95", "5F2A", "9A", "9C", "9F37", "82", "9F36"]

for line in sys.stdin:
    case = json.loads(line)
    imk, arc = bytes.fromhex(case["imk"]), bytes.fromhex(case["arc"])
    tags = {name: bytes.fromhex(value) for name, value in case["tags"].items()}
    cvr = tags["9F10"][3:7]
    if case["scheme"] == "visa-10":
        card = cvn.VisaCVN10(imk, imk, imk, case["pan"], case["psn"])
        arqc = card.generate_ac(*[tags[name] for name in ORDER], cvr)
        arpc = card.generate_arpc(arqc, arc)
    else:
        master = kd.derive_icc_mk_a(imk, case["pan"], case["psn"])
        session = kd.derive_common_sk(master, tags["9F36"] + bytes(6))
        data = b"".join(tags[name] for name in ORDER) + cvr
        arqc = ac.generate_ac(session, data, ac.PaddingType.EMV)
        arpc = ac.generate_arpc_1(session, arqc, arc)
    print(json.dumps({"arqc": arqc.hex().upper(), "arpc": arpc.hex().upper()}))
