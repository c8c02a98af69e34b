"""Reads a plan file with the standard library alone, from docs/plan-format.md: lists its contents and checks every hash.

    python3 read_plan.py FILE

prints one JSON object and exits 0, or prints one line on standard error and exits 1.
"""

import hashlib
import itertools
import json
import re
import struct
import sys

MAGIC = b"\x89LLM\r\n\x1a\n"
PROLOGUE = 64
SECTION_ALIGN = 4096
CHUNK = 1 << 20


class BadPlan(Exception):
    pass


class Msgpack:
    """Decodes the part of msgpack that plans use: no nil, no extension types, text keys."""

    # first type byte -> struct code of the number that follows
    NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
    LENGTHS = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I", 0xD9: ">B", 0xDA: ">H", 0xDB: ">I", 0xDC: ">H", 0xDD: ">I", 0xDE: ">H", 0xDF: ">I"}

    def __init__(self, data):
        self.data = data
        self.at = 0

    @classmethod
    def decode(cls, data):
        reader = cls(data)
        value = reader.value(0)
        if reader.at != len(data):
            raise BadPlan(f"{len(data) - reader.at} bytes follow the value")
        return value

    def take(self, n):
        if n > len(self.data) - self.at:
            raise BadPlan(f"value at byte {self.at} is cut")
        self.at += n
        return self.data[self.at - n : self.at]

    def number(self, code):
        return struct.unpack(code, self.take(struct.calcsize(code)))[0]

    def value(self, depth):
        if depth > 8:
            raise BadPlan("nested too deep")
        c = self.take(1)[0]
        if c <= 0x7F:
            return c
        if c >= 0xE0:
            return c - 0x100
        if c <= 0x8F:
            return self.map(c & 0x0F, depth)
        if c <= 0x9F:
            return self.array(c & 0x0F, depth)
        if c <= 0xBF:
            return self.take(c & 0x1F).decode("utf-8")
        if c in (0xC2, 0xC3):
            return c == 0xC3
        if c in self.NUMBERS:
            return self.number(self.NUMBERS[c])
        if c not in self.LENGTHS:
            raise BadPlan(f"type byte {c:#x} is not used in plans")
        n = self.number(self.LENGTHS[c])
        if c <= 0xC6:
            return bytes(self.take(n))
        if c <= 0xDB:
            return self.take(n).decode("utf-8")
        return self.array(n, depth) if c <= 0xDD else self.map(n, depth)

    def array(self, n, depth):
        return [self.value(depth + 1) for _ in range(n)]

    def map(self, n, depth):
        result = {}
        for _ in range(n):
            key = self.value(depth + 1)
            if not isinstance(key, str) or key in result:
                raise BadPlan(f"bad key {key!r}")
            result[key] = self.value(depth + 1)
        return result


def read_header(file):
    prologue = file.read(PROLOGUE)
    if prologue[:8] != MAGIC:
        raise BadPlan("not a plan file")
    if len(prologue) < PROLOGUE:
        raise BadPlan("truncated")
    major, minor, length = struct.unpack("<HHI", prologue[8:16])
    if major != 1:
        raise BadPlan(f"version {major}.{minor}; this script reads 1.x")
    data = file.read(length)
    if len(data) < length:
        raise BadPlan("truncated in the header")
    digest = hashlib.sha256(data)
    if digest.digest() != prologue[16:48]:
        raise BadPlan("the header is damaged")
    header = Msgpack.decode(data)
    if (header["major"], header["minor"]) != (major, minor):
        raise BadPlan("two versions")
    return header, digest.hexdigest()


def hash_range(file, offset, size):
    """Returns the SHA-256 of size bytes at offset."""
    file.seek(offset)
    hashed = hashlib.sha256()
    while size:
        piece = file.read(min(size, CHUNK))
        if not piece:
            raise BadPlan(f"truncated before byte {offset + size}")
        hashed.update(piece)
        size -= len(piece)
    return hashed.digest()


def check_sections(file, header):
    end = PROLOGUE
    for s in header["sections"]:
        name = (s["kind"] + " " + s.get("name", "")).strip()
        if s["offset"] % SECTION_ALIGN or s["offset"] < end or s["offset"] + s["size"] > header["file_size"]:
            raise BadPlan(f"section {name} is misplaced")
        end = s["offset"] + s["size"]
        if s["kind"] == "weights":
            check_weights(file, s, header.get("weights", []))
        elif hash_range(file, s["offset"], s["size"]) != s["sha256"]:
            raise BadPlan(f"section {name} is damaged")


def check_weights(file, section, weights):
    end, hashes = 0, b""
    for w in weights:
        if w["offset"] < end or w["offset"] % (4096 if w["bytes"] >= 65536 else 64):
            raise BadPlan(f"weight {w['name']} is misplaced")
        end = w["offset"] + w["bytes"]
        if hash_range(file, section["offset"] + w["offset"], w["bytes"]) != w["sha256"]:
            raise BadPlan(f"weight {w['name']} is damaged")
        hashes += w["sha256"]
    if end != section["size"] or hashlib.sha256(hashes).digest() != section["sha256"]:
        raise BadPlan("section weights does not fit its weights")


SIZE = r"(\d+|(\d+\*)?[TBRS])(\+(\d+|(\d+\*)?[TBRS]))*"
EXTENT = re.compile(SIZE + r"(/[1-9]\d*)?")


def read_programs(file, header):
    """Returns the kernels that each program launches, in order, and the entries of those that run code of the plan."""
    def section(kind, name):
        for s in header["sections"]:
            if (s["kind"], s.get("name", "")) == (kind, name):
                file.seek(s["offset"])
                return file.read(s["size"])
        raise BadPlan(f"no section {kind} {name}")

    programs, entries = {}, {}
    for s in header["sections"]:
        if s["kind"] == "program":
            program = Msgpack.decode(section("program", s["name"]))
            launches = program["launches"]
            programs[s["name"]] = [launch["kernel"] for launch in launches]
            codes = [launch["code"] for launch in launches if "code" in launch]
            if codes:
                text = section("ptx", program["target"]).decode("utf-8")
                for code in itertools.chain(*codes):
                    check_code(code, text)
                if any(("limit" in code) == (code is launch[-1]) for launch in codes for code in launch):
                    raise BadPlan(f"program {s['name']}: all entries of a launch but the last have a limit")
                entries[s["name"]] = [code["entry"] for code in itertools.chain(*codes)]
            if len(codes) != (0 if program["target"].startswith("x86-64") else len(launches)):
                raise BadPlan(f"program {s['name']}: {len(codes)} of {len(launches)} launches have code")
    return programs, entries


def check_code(code, text):
    entry, grid = code["entry"], code["grid"]
    if not re.fullmatch(r"[a-zA-Z_]\w{0,255}", entry, re.ASCII) or not re.search(r"\.entry\s+" + entry + r"\b", text):
        raise BadPlan(f"entry {entry!r} is not in the code")
    if len(grid) != 3 or not all(EXTENT.fullmatch(extent) for extent in grid):
        raise BadPlan(f"entry {entry}: grid {grid}")
    if not 1 <= code["threads"] <= 1024 or not 0 <= code.get("shared", 0) <= 256 << 10:
        raise BadPlan(f"entry {entry}: {code}")


def main():
    with open(sys.argv[1], "rb") as file:
        header, digest = read_header(file)
        file.seek(0, 2)
        if file.tell() != header["file_size"]:
            raise BadPlan(f"{file.tell()} bytes, not {header['file_size']}")
        check_sections(file, header)
        programs, entries = read_programs(file, header)
    hexed = lambda rows: [{k: v.hex() if isinstance(v, bytes) else v for k, v in row.items()} for row in rows]
    json.dump({"digest": "sha256:" + digest, "sections": hexed(header["sections"]), "weights": hexed(header.get("weights", [])),
               "programs": programs, "entries": entries}, sys.stdout)


if __name__ == "__main__":
    try:
        main()
    except (BadPlan, OSError, KeyError, TypeError, ValueError) as error:
        print(f"{sys.argv[1:]}: {error}", file=sys.stderr)
        sys.exit(1)
