"""Prints slips on emupos, an emulator of ESC/POS printers that posd's authors did not write, and compares the paper.

usage: paper_emupos.py FOLDER      (made by the test paper::emulator; tests/tools/check-paper calls both)

Raster mode: the emulator's picture must equal posd's pixel for pixel, down to the feed before the cut. Text mode: the
emulator draws the bytes of GB18030 as code page 437, one cell a byte, which is the geometry of the real font, two cells a
character; its text is turned back into bytes and must be posd's. Ink must stand in the cells of the line and in no others,
double lines must be twice as high, pictures in their place. Exits with 1 if anything differs.
"""
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import time

from PIL import Image, ImageChops

CELL, LINE, API, PORTS = 12, 30, 18765, {384: 19100, 576: 19101}
PRINTED_IN = 20.0


def configuration(folder):
    devices = []
    for width, port in PORTS.items():
        profile = folder / f"{width}.yaml"
        profile.write_text(
            f"type: printer\nname: test\ndpi: 203\nwidth_dots: {width}\nfont_a: {{ width: 12, height: 24 }}\n"
            "font_b: { width: 9, height: 17 }\ncode_pages: { 0: PC437 }\ndefault_code_page: 0\n"
            "drawer_sensor_open_level: high\nserial: { baud: 9600, data_bits: 8, parity: none, stop_bits: 1 }\n"
        )
        devices.append(
            {
                "id": f"w{width}",
                "type": "printer",
                "profile": f"./{profile.name}",
                "connections": [{"tcp": {"port": port}}],
                "job_idle_timeout_ms": 700,
                "receipts_dir": f"./receipts{width}",
            }
        )
    text = {"schema": 1, "api": {"host": "127.0.0.1", "port": API}, "devices": devices}
    (folder / "emupos.yaml").write_text(json.dumps(text))


def until(found, what):
    end = time.monotonic() + PRINTED_IN
    while time.monotonic() < end:
        result = found()
        if result:
            return result
        time.sleep(0.02)  # the emulator tells nobody; its folder is looked at
    raise SystemExit(f"check-paper: no {what} within {PRINTED_IN:.0f} s")


def connected(port):
    try:
        return socket.create_connection(("127.0.0.1", port), timeout=1)
    except OSError:
        return None


def printed(folder, width, data):
    """Sends a slip; the picture and the text of what came out."""
    receipts = folder / f"receipts{width}"
    before = set(receipts.glob("*.json")) if receipts.exists() else set()
    with until(lambda: connected(PORTS[width]), "printer") as printer:
        printer.sendall(data)
        new = until(lambda: sorted(set(receipts.glob("*.json")) - before) if receipts.exists() else None, "receipt")
    if len(new) != 1:
        raise SystemExit(f"check-paper: {len(new)} receipts of one slip")
    base = new[0].with_suffix("")
    return Image.open(f"{base}.png").convert("1"), pathlib.Path(f"{base}.txt").read_text()


def ink(image):
    """Where there is black: left, top, right, bottom; None on white paper."""
    return ImageChops.invert(image.convert("L")).getbbox()


def raster_differs(image, expected):
    height = max(image.height, expected.height)
    sheets = []
    for sheet in (image, expected):
        whole = Image.new("1", (expected.width, height), 1)
        whole.paste(sheet, (0, 0))
        sheets.append(whole)
    return sum(ImageChops.logical_xor(*sheets).histogram()[255:])


def height_of(row):
    """Rows of dots of a line; a picture says its own."""
    _start, _cells, double, bold_or_height, _line = row
    return max(LINE, 24 * double) if double else bold_or_height


def text_differs(image, text, rows):
    """A list of what differs."""
    wrong = []
    if image.height < sum(height_of(row) for row in rows[:-1]):
        wrong.append(f"the paper is {image.height} dots long")
    lines = [line.rstrip() for line in text.encode("cp437").decode("gb18030").split("\n")]
    # A line for each band of a picture.
    lines = [line for line in lines if not line.startswith("[image ")]
    wanted = [row[4].rstrip() for row in rows if row[2]]
    while lines and not lines[-1]:
        lines.pop()
    while wanted and not wanted[-1]:
        wanted.pop()
    for number, (line, row) in enumerate(zip(lines, wanted)):
        if line.strip() != row.strip():
            wrong.append(f"line {number + 1}: {line!r} for {row!r}")
    if len(lines) != len(wanted):
        wrong.append(f"{len(lines)} lines for {len(wanted)}")
    top = 0
    for number, row in enumerate(rows):
        start, cells, double, _bold, line = row
        height = height_of(row)
        # The emulator's paper ends with the last ink.
        box = ink(image.crop((0, min(top, image.height), image.width, min(top + height, image.height))))
        top += height
        if not double:
            if not box or box[0] < start or box[2] > start + cells:
                wrong.append(f"line {number + 1}: ink at {box}, not in the picture from {start}, {cells} wide")
            continue
        if not line.strip():
            if box:
                wrong.append(f"line {number + 1}: ink where nothing stands")
            continue
        # Four bytes are one character of two cells on a real printer; the emulator draws four.
        drawn = max(cells, len(line.encode("gb18030")) * double)
        left, right = start, start + drawn * CELL
        if not box or box[0] < left or box[2] > right:
            wrong.append(f"line {number + 1}: ink at {box}, not within {left} to {right}")
    return wrong


def main():
    slips = pathlib.Path(sys.argv[1])
    folder = slips.parent / "printer"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    configuration(folder)
    log = open(folder / "emupos.log", "w")
    emulator = subprocess.Popen([pathlib.Path(sys.executable).parent / "emupos", "run"], cwd=folder, stdout=log, stderr=log)
    rows, faults = {}, []
    try:
        for path in sorted(slips.glob("*.bin")):
            name, width, mode, _ = path.name.rsplit(".", 3)
            image, text = printed(folder, int(width), path.read_bytes())
            if mode == "raster":
                wrong = raster_differs(image, Image.open(path.with_suffix(".png")).convert("1"))
                found = [f"{wrong} pixels"] if wrong else []
            else:
                lines = [line.split("\t", 4) for line in path.with_suffix(".rows").read_text().splitlines()]
                found = text_differs(image, text, [(int(a), int(b), int(c), int(d), e) for a, b, c, d, e in lines])
            faults += [f"{path.name}: {what}" for what in found]
            count, bad = rows.get((width, mode), (0, 0))
            rows[(width, mode)] = (count + 1, bad + bool(found))
    finally:
        emulator.terminate()
        emulator.wait()
    print("# Slips on an emulator of others\n")
    print("Made by `make check-paper`: every slip of the tests, printed by the emulator emupos 0.4.0 (PyPI), which shares")
    print("nothing with posd. Raster: its picture against posd's, pixel by pixel. Text: characters, cells, heights of lines.\n")
    print("| width | mode | slips | that differ |\n|---|---|---|---|")
    for (width, mode), (count, bad) in sorted(rows.items()):
        print(f"| {width} dots | {mode} | {count} | {bad} |")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


sys.exit(main())
