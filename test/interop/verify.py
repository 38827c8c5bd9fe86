#!/usr/bin/env python3
"""Verifies a C2SP transparency log from its files alone. Python 3.8 or later, standard library only.

    verify.py log DIR    [--vkey FILE] [--minimum N] [--older CHECKPOINT] [--witness VKEY ...]
    verify.py proof FILE --vkey FILE [--entry FILE]  [--witness VKEY ...]

DIR holds checkpoint, vkey, tile/<L>/<N>[.p/<W>] and tile/entries/<N>[.p/<W>]; FILE is a .tlog-proof whose extra line is
the entry. A witness is given as its vkey or as @file; all that are given must have cosigned. With an older checkpoint that was kept, the log must begin with the log of that checkpoint.

Written from the texts of c2sp.org (signed-note, tlog-checkpoint, tlog-tiles, tlog-cosignature, tlog-proof, tlog-policy),
RFC 6962, RFC 8032 and FIPS 204, without the code of any program that writes such logs.

Exit: 0 everything fits, 1 something does not (the line names the first bad place), 2 wrong usage.
"""
import argparse
import base64
import binascii
import datetime
import hashlib
import os
import re
import sys


class Bad(Exception):
    """Something in the material does not fit. `place` names where."""

    def __init__(self, place, why):
        Exception.__init__(self, "%s: %s" % (place, why))


# --- Ed25519, RFC 8032 section 5.1 --------------------------------------------------------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_MINUS_1 = pow(2, (P - 1) // 4, P)


def recover_x(y, sign):
    """Section 5.1.3, steps 2 to 4."""
    if y >= P:
        return None
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x - u) % P != 0:
        if (v * x * x + u) % P != 0:
            return None
        x = x * SQRT_MINUS_1 % P
    if x == 0 and sign:
        return None
    return P - x if x & 1 != sign else x


def decode_point(data):
    number = int.from_bytes(data, "little")
    y, sign = number & (2**255 - 1), number >> 255
    x = recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


def add_points(p, q):
    """Section 5.1.4, extended homogeneous coordinates."""
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply_point(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add_points(result, point)
        point = add_points(point, point)
        scalar >>= 1
    return result


def same_point(p, q):
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = recover_x(BASE_Y, 0)
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def ed25519_verify(public_key, message, signature):
    """Section 5.1.7, with the equation without the cofactor, which is the stricter one."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    a, r = decode_point(public_key), decode_point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= ORDER:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % ORDER
    return same_point(multiply_point(s, BASE), add_points(r, multiply_point(k, a)))


# --- ML-DSA-44, FIPS 204 ------------------------------------------------------------------------------------------------

Q = 8380417
DROPPED = 13  # d
TAU = 39
GAMMA1 = 2**17
GAMMA2 = (Q - 1) // 88
K = L = 4
BETA = 78  # tau * eta
OMEGA = 80
# Appendix B: zeta^BitRev8(m) for m = 0 to 255
ZETAS = [pow(1753, int(format(m, "08b")[::-1], 2), Q) for m in range(256)]


def shake256(data, size):
    return hashlib.shake_256(data).digest(size)


def ntt(poly):
    """Algorithm 41."""
    w = list(poly)
    m, length = 0, 128
    while length >= 1:
        for start in range(0, 256, 2 * length):
            m += 1
            zeta = ZETAS[m]
            for j in range(start, start + length):
                t = zeta * w[j + length] % Q
                w[j + length] = (w[j] - t) % Q
                w[j] = (w[j] + t) % Q
        length //= 2
    return w


def inverse_ntt(poly):
    """Algorithm 42."""
    w = list(poly)
    m, length = 256, 1
    while length < 256:
        for start in range(0, 256, 2 * length):
            m -= 1
            zeta = -ZETAS[m]
            for j in range(start, start + length):
                t = w[j]
                w[j] = (t + w[j + length]) % Q
                w[j + length] = zeta * (t - w[j + length]) % Q
        length *= 2
    return [8347681 * value % Q for value in w]


def unpack_bits(data, bits):
    """The 256 numbers of `bits` bits each, least significant bit first (algorithm 18)."""
    number = int.from_bytes(data, "little")
    mask = (1 << bits) - 1
    return [number >> (bits * i) & mask for i in range(len(data) * 8 // bits)]


def pack_bits(values, bits):
    """Algorithm 16."""
    number = 0
    for value in reversed(values):
        number = number << bits | value
    return number.to_bytes(len(values) * bits // 8, "little")


def rejection_ntt_poly(seed):
    """Algorithm 30 with algorithm 14."""
    size = 256 * 3 + 96
    while True:
        stream = hashlib.shake_128(seed).digest(size)
        found = []
        for i in range(0, size - 2, 3):
            value = stream[i] | stream[i + 1] << 8 | (stream[i + 2] & 0x7F) << 16
            if value < Q:
                found.append(value)
                if len(found) == 256:
                    return found
        size *= 2


def expand_a(rho):
    """Algorithm 32."""
    return [[rejection_ntt_poly(rho + bytes([s, r])) for s in range(L)] for r in range(K)]


def sample_in_ball(seed):
    """Algorithm 29."""
    size = 256
    while True:
        stream = shake256(seed, size)
        signs = int.from_bytes(stream[:8], "little")
        at = 8
        c = [0] * 256
        try:
            for i in range(256 - TAU, 256):
                while stream[at] > i:
                    at += 1
                j = stream[at]
                at += 1
                c[i] = c[j]
                c[j] = -1 if signs >> (i + TAU - 256) & 1 else 1
            return c
        except IndexError:
            size *= 2


def unpack_hint(data):
    """Algorithm 21, with each of its three refusals."""
    hint = [[0] * 256 for _ in range(K)]
    index = 0
    for i in range(K):
        end = data[OMEGA + i]
        if end < index or end > OMEGA:
            return None
        first = index
        while index < end:
            if index > first and data[index - 1] >= data[index]:
                return None
            hint[i][data[index]] = 1
            index += 1
    if any(data[index:OMEGA]):
        return None
    return hint


def decompose(r):
    """Algorithm 36."""
    r %= Q
    low = r % (2 * GAMMA2)
    if low > GAMMA2:
        low -= 2 * GAMMA2
    if r - low == Q - 1:
        return 0, low - 1
    return (r - low) // (2 * GAMMA2), low


def use_hint(bit, r):
    """Algorithm 40."""
    m = (Q - 1) // (2 * GAMMA2)
    high, low = decompose(r)
    if bit:
        return (high + 1) % m if low > 0 else (high - 1) % m
    return high


def multiply_rows(matrix, vector):
    return [[sum(row[s][i] * vector[s][i] for s in range(L)) % Q for i in range(256)] for row in matrix]


def mldsa44_verify(public_key, message, signature, context=b""):
    """Algorithms 3 (pure, not pre-hashed) and 8."""
    if len(public_key) != 1312 or len(signature) != 2420 or len(context) > 255:
        return False
    rho = public_key[:32]
    t1 = [unpack_bits(public_key[32 + 320 * i : 32 + 320 * (i + 1)], 10) for i in range(K)]
    c_tilde = signature[:32]
    z = [[GAMMA1 - v for v in unpack_bits(signature[32 + 576 * i : 32 + 576 * (i + 1)], 18)] for i in range(L)]
    hint = unpack_hint(signature[32 + 576 * L :])
    if hint is None or any(abs(v) >= GAMMA1 - BETA for poly in z for v in poly):
        return False
    formatted = b"\0" + bytes([len(context)]) + context + message
    mu = shake256(shake256(public_key, 64) + formatted, 64)
    c = ntt(sample_in_ball(c_tilde))
    az = multiply_rows(expand_a(rho), [ntt(poly) for poly in z])
    w1 = b""
    for i in range(K):
        t = ntt([v << DROPPED for v in t1[i]])
        w = inverse_ntt([(az[i][j] - c[j] * t[j]) % Q for j in range(256)])
        w1 += pack_bits([use_hint(hint[i][j], w[j]) for j in range(256)], 6)
    return c_tilde == shake256(mu + w1, 32)


# --- Signed notes, c2sp.org/signed-note ---------------------------------------------------------------------------------

ED25519, COSIGNED_ED25519, COSIGNED_MLDSA = 0x01, 0x04, 0x06
KEY_SIZES = {ED25519: 32, COSIGNED_ED25519: 32, COSIGNED_MLDSA: 1312}
MAX_SIGNATURES = 64  # a note SHOULD have a limit of at least 16


def decode_base64(text, place):
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise Bad(place, "is not base64")
    if base64.b64encode(data).decode("ascii") != text:
        raise Bad(place, "is not base64 in its one form")
    return data


def is_key_name(name):
    return name != "" and "+" not in name and not any(char.isspace() for char in name)


class Key:
    """A vkey: <name>+<key id>+<base64 of type and public key>."""

    def __init__(self, text, place):
        parts = text.split("+", 2)
        if len(parts) != 3 or not is_key_name(parts[0]) or not re.match(r"^[0-9a-f]{8}\Z", parts[1]):
            raise Bad(place, "is not a vkey")
        self.name = parts[0]
        self.id = bytes.fromhex(parts[1])
        data = decode_base64(parts[2], place)
        if not data or KEY_SIZES.get(data[0]) is None:
            raise Bad(place, "has a key type that this program does not verify")
        self.type, self.public = data[0], data[1:]
        if len(self.public) != KEY_SIZES[self.type]:
            raise Bad(place, "has a key of a wrong length")
        if hashlib.sha256(self.name.encode() + b"\n" + data).digest()[:4] != self.id:
            raise Bad(place, "its key id is not that of its name and key")

    def __str__(self):
        return "%s+%s" % (self.name, self.id.hex())

    def algorithm(self):
        return "ML-DSA-44" if self.type == COSIGNED_MLDSA else "Ed25519"


def parse_note(data, place):
    """The text of a note and its signatures as (line, name, key id, signature)."""
    try:
        note = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Bad(place, "is not UTF-8")
    if any(ord(char) < 0x20 and char != "\n" for char in note):
        raise Bad(place, "has a control character")
    split = note.rfind("\n\n")
    if split < 0:
        raise Bad(place, "has no empty line before its signatures")
    text, rest = note[: split + 1], note[split + 2 :]
    if rest == "" or not rest.endswith("\n"):
        raise Bad(place, "has no signature, or its last line does not end")
    lines = rest[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise Bad(place, "has more than %d signatures" % MAX_SIGNATURES)
    signatures = []
    for number, line in enumerate(lines, text.count("\n") + 2):
        where = "%s line %d" % (place, number)
        match = re.match("^\u2014 ([^ ]+) ([^ ]+)\\Z", line)
        if match is None or not is_key_name(match.group(1)):
            raise Bad(where, "is not a signature line")
        blob = decode_base64(match.group(2), where)
        if len(blob) < 5:
            raise Bad(where, "has a signature that is too short")
        signatures.append((where, match.group(1), blob[:4], blob[4:]))
    return text, signatures


class Checkpoint:
    """c2sp.org/tlog-checkpoint"""

    def __init__(self, data, place):
        self.place = place
        self.text, self.signatures = parse_note(data, place)
        lines = self.text[:-1].split("\n")
        if len(lines) < 3 or "" in lines:
            raise Bad(place, "has not at least three lines that are not empty")
        self.origin = lines[0]
        if not re.match(r"^(0|[1-9][0-9]*)\Z", lines[1]):
            raise Bad(place + " line 2", "is not a tree size")
        self.size = int(lines[1])
        if self.size >= 2**63:
            raise Bad(place + " line 2", "is not a tree size that a log can have")
        self.root = decode_base64(lines[2], place + " line 3")
        if len(self.root) != 32:
            raise Bad(place + " line 3", "is not a SHA-256 hash")
        self.extensions = lines[3:]

    def signed_by(self, key):
        """Verifies every signature of this key; the times of cosignatures, [None] for a plain signature, [] for none."""
        found = []
        for where, name, key_id, signature in self.signatures:
            if name == key.name and key_id == key.id:
                found.append(self.verified(where, key, signature))
        return found

    def verified(self, where, key, signature):
        bad = Bad(where, "the %s signature of %s does not verify" % (key.algorithm(), key))
        if key.type == ED25519:
            if not ed25519_verify(key.public, self.text.encode(), signature):
                raise bad
            return None
        # c2sp.org/tlog-cosignature: timestamped_signature
        if len(signature) != 8 + (64 if key.type == COSIGNED_ED25519 else 2420):
            raise bad
        time = int.from_bytes(signature[:8], "big")
        if time > 2**63 - 1:
            raise Bad(where, "the time of the cosignature of %s is above 2^63-1" % key)
        if key.type == COSIGNED_ED25519:
            message = b"cosignature/v1\ntime %d\n" % time + self.text.encode()
            if not ed25519_verify(key.public, message, signature[8:]):
                raise bad
            return time
        name, origin = key.name.encode(), self.origin.encode()
        if len(name) > 255 or len(origin) > 255:
            raise Bad(where, "a name is too long for a cosigned message")
        message = b"".join(
            [
                b"subtree/v1\n\0",
                bytes([len(name)]) + name,
                signature[:8],
                bytes([len(origin)]) + origin,
                (0).to_bytes(8, "big"),
                self.size.to_bytes(8, "big"),
                self.root,
            ]
        )
        if not mldsa44_verify(key.public, message, signature[8:]):
            raise bad
        return time


def check_signatures(checkpoint, key, witnesses):
    if not checkpoint.signed_by(key):
        raise Bad(checkpoint.place, "has no signature of %s" % key)
    # tlog-checkpoint says SHOULD, tlog-policy MUST: a key that signs for several logs would make them one.
    if checkpoint.origin != key.name:
        raise Bad(checkpoint.place + " line 1", "the origin is not the key's name, %s" % key.name)
    say("signature  %s (%s)" % (key, key.algorithm()))
    missing = None
    for witness in witnesses:
        times = checkpoint.signed_by(witness)
        if not times:
            say("witness    %s (%s) has not cosigned" % (witness, witness.algorithm()))
            missing = missing or Bad(checkpoint.place, "has no cosignature of %s" % witness)
        for time in times:
            say("witness    %s (%s) cosigned at %s" % (witness, witness.algorithm(), show_time(time)))
    if missing:
        raise missing
    known = {(key.name, key.id)} | {(w.name, w.id) for w in witnesses}
    for _, name, key_id, _ in checkpoint.signatures:
        if (name, key_id) not in known:
            say("ignored    a signature of %s+%s, whose key was not given" % (name, key_id.hex()))


def show_time(time):
    if time == 0:
        return "no time"
    try:
        stamp = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=time)
        return "%sZ (%d)" % (stamp.isoformat(), time)
    except OverflowError:
        return str(time)


# --- Merkle trees, RFC 6962 section 2.1 ---------------------------------------------------------------------------------


def leaf_hash(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def split_size(size):
    """The largest power of two smaller than size."""
    return 1 << (size - 1).bit_length() - 1


def tree_hash(hashes):
    """MTH over leaf hashes. For a full tile's 256 hashes of any level this is the hash one level of tiles up."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = split_size(len(hashes))
    return node_hash(tree_hash(hashes[:k]), tree_hash(hashes[k:]))


def root_of_proof(leaf, index, size, path):
    """The root that an audit path (section 2.1.1) gives: PATH(m, D[n]) turned round. None when its length is wrong."""
    if size == 1:
        return leaf if not path else None
    if not path:
        return None
    k = split_size(size)
    if index < k:
        inner = root_of_proof(leaf, index, k, path[:-1])
        return inner and node_hash(inner, path[-1])
    inner = root_of_proof(leaf, index - k, size - k, path[:-1])
    return inner and node_hash(path[-1], inner)


# --- Tiles, c2sp.org/tlog-tiles -----------------------------------------------------------------------------------------


def tile_path(level, index, width):
    parts = ["%03d" % (index % 1000)]
    while index >= 1000:
        index //= 1000
        parts.insert(0, "x%03d" % (index % 1000))
    partial = "" if width == 256 else ".p/%d" % width
    return "tile/%s/%s%s" % (level, "/".join(parts), partial)


def parse_tile_path(path):
    """(level or "entries", index, width) of a path in its one form, or None."""
    match = re.match(r"^tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?\Z", path)
    if match is None:
        return None
    level = match.group(1) if match.group(1) == "entries" else int(match.group(1))
    index = int(match.group(2).replace("x", "").replace("/", ""))
    width = int(match.group(3) or 256)
    return (level, index, width) if path == tile_path(level, index, width) else None


class Log:
    """An exported log: reads each tile and bundle once, and says what does not fit."""

    def __init__(self, folder, checkpoint, minimum):
        self.folder, self.size, self.root, self.minimum = folder, checkpoint.size, checkpoint.root, minimum
        self.place = checkpoint.place
        self.pruned = {}  # level or "entries" -> number of tiles that are not there
        if minimum > self.size:
            raise Bad(checkpoint.place, "the minimum index %d is above the tree size %d" % (minimum, self.size))
        self.tiles = []  # tiles[level][index] = list of hashes, or None when pruned
        level = 0
        while self.size >> 8 * level > 0:
            self.tiles.append([self.read_tile(level, i, width) for i, width in self.widths(level)])
            level += 1

    def widths(self, level):
        """Index and width of every tile of a level for this tree size."""
        count = self.size >> 8 * (0 if level == "entries" else level)
        for index in range(count // 256):
            yield index, 256
        if count % 256:
            yield count // 256, count % 256

    def read(self, level, index, width):
        """The bytes of a tile or bundle; None when the pruning criteria allow that it is not there."""
        path = tile_path(level, index, width)
        try:
            with open(os.path.join(self.folder, path), "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            end = (index + 1) << 8 * ((0 if level == "entries" else level) + 1)
            if width == 256 and end <= self.minimum:
                self.pruned[level] = self.pruned.get(level, 0) + 1
                return None
            hint = "" if width != 256 else " (a log that was pruned needs --minimum %d or more)" % end
            raise Bad(path, "is not there" + hint)
        except OSError as error:
            raise Bad(path, "cannot be read: %s" % error.strerror)

    def read_tile(self, level, index, width):
        data = self.read(level, index, width)
        if data is None:
            return None
        if len(data) != 32 * width:
            raise Bad(tile_path(level, index, width), "has %d bytes, not %d" % (len(data), 32 * width))
        return [data[i : i + 32] for i in range(0, len(data), 32)]

    def read_bundle(self, index, width):
        data = self.read("entries", index, width)
        return None if data is None else parse_bundle(data, index, width, tile_path("entries", index, width))

    def stored(self, level, index):
        tile = self.tiles[level][index // 256]
        return None if tile is None else tile[index % 256]

    def place_of(self, level, index):
        """Names the tile that holds hash `index` of `level`."""
        count = self.size >> 8 * level
        width = 256 if index // 256 < count // 256 else count % 256
        return "%s hash %d" % (tile_path(level, index // 256, width), index % 256)

    def subtree(self, start, size, used):
        """MTH(D[start:start+size]) of RFC 6962, from the highest stored hash that covers it. Notes the hashes it used."""
        if size & (size - 1) == 0:
            level = (size.bit_length() - 1) // 8
            # A whole tile's worth or a power of two within one: the hashes of the highest level that still divides it.
            while level >= 0:
                unit = 1 << 8 * level
                first = start // unit
                hashes = [self.stored(level, i) for i in range(first, first + size // unit)]
                if None not in hashes:
                    used.extend((level, i) for i in range(first, first + size // unit))
                    return tree_hash(hashes)
                level -= 1
            raise Bad(self.place, "the hash of entries %d to %d is in no tile that is there" % (start, start + size - 1))
        k = split_size(size)
        return node_hash(self.subtree(start, k, used), self.subtree(start + k, size - k, used))

    def verify(self):
        self.no_strangers()
        if self.size == 0:
            if self.root != hashlib.sha256(b"").digest():
                raise Bad(self.place + " line 3", "is not the root hash of an empty tree")
            return 0
        used = []
        if self.subtree(0, self.size, used) != self.root:
            self.explain(used)
        # Top down: what is above is proved, so what does not give it is wrong.
        for level in range(len(self.tiles) - 1, 0, -1):
            for index in range(self.size >> 8 * level):
                below = self.tiles[level - 1][index]
                if below is None:
                    continue
                above = self.stored(level, index)
                if above is None:
                    raise Bad(tile_path(level - 1, index, 256), "cannot be verified: the tile above it is not there")
                if tree_hash(below) != above:
                    raise Bad(tile_path(level - 1, index, 256), "does not give %s" % self.place_of(level, index))
        checked, leaves = 0, []
        for index, width in self.widths("entries"):
            entries = self.read_bundle(index, width)
            if entries is None:
                continue
            if self.tiles[0][index] is None:
                raise Bad(tile_path("entries", index, width), "cannot be verified: its tile of level 0 is not there")
            for i, entry in enumerate(entries):
                leaves.append(leaf_hash(entry))
                if leaves[-1] != self.tiles[0][index][i]:
                    path = tile_path("entries", index, width)
                    raise Bad("%s entry %d (index %d)" % (path, i, 256 * index + i), "is not the entry that was logged")
            checked += len(entries)
        # Once more without any tile, straight from the entries.
        if checked == self.size and tree_hash(leaves) != self.root:
            raise Bad(self.place + " line 3", "is not the root hash of the entries")
        return checked

    def explain(self, used):
        """The root does not fit: is it a stored hash at the right edge, or the checkpoint?"""
        for level, index in used:
            if level == 0:
                count = self.size - index // 256 * 256
                entries = self.read_bundle(index // 256, min(256, count))
                below = None if entries is None else leaf_hash(entries[index % 256])
            else:
                tile = self.tiles[level - 1][index]
                below = None if tile is None else tree_hash(tile)
            if below is not None and below != self.stored(level, index):
                tile = self.tiles[level][index // 256]
                kept, tile[index % 256] = tile[index % 256], below
                if self.subtree(0, self.size, []) == self.root:
                    raise Bad(self.place_of(level, index), "is not the hash of what is below it")
                tile[index % 256] = kept
                raise Bad(self.place_of(level, index), "is not the hash of what is below it, and neither gives the root")
        raise Bad(self.place + " line 3", "is not the root hash of the tiles")

    def no_strangers(self):
        """What else lies below tile/ must be an older partial tile, and the beginning of the one that replaced it."""
        expected = {tile_path("entries", i, width): None for i, width in self.widths("entries")}
        for level in range(len(self.tiles)):
            expected.update({tile_path(level, i, width): None for i, width in self.widths(level)})
        strangers = []
        top = os.path.join(self.folder, "tile")
        for folder, _, names in os.walk(top, onerror=unreadable):
            for name in names:
                path = os.path.relpath(os.path.join(folder, name), self.folder).replace(os.sep, "/")
                if path not in expected:
                    strangers.append(path)
        for path in sorted(strangers):
            parsed = parse_tile_path(path)
            newer = None if parsed is None else dict(self.widths(parsed[0])).get(parsed[1], 0)
            if parsed is None or parsed[2] > newer:
                raise Bad(path, "is not a part of a log of size %d" % self.size)
            level, index, width = parsed
            if level == "entries":
                entries = self.read_bundle(index, newer)
                with open(os.path.join(self.folder, path), "rb") as file:
                    older = parse_bundle(file.read(), index, width, path)
                fits = entries is not None and older == entries[:width]
            else:
                tile = self.tiles[level][index]
                fits = tile is not None and self.read_tile(level, index, width) == tile[:width]
            if not fits:
                raise Bad(path, "is not the beginning of %s" % tile_path(level, index, newer))


def unreadable(error):
    if not isinstance(error, FileNotFoundError):
        raise Bad(str(error.filename), "cannot be read: %s" % error.strerror)


def parse_bundle(data, index, width, path):
    entries, at = [], 0
    while at < len(data):
        if len(entries) == width:
            raise Bad(path, "has more than %d entries" % width)
        size = int.from_bytes(data[at : at + 2], "big")
        if at + 2 + size > len(data):
            number = len(entries)
            raise Bad("%s entry %d (index %d)" % (path, number, 256 * index + number), "is cut off")
        entries.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    if len(entries) != width:
        raise Bad(path, "has %d entries, not %d" % (len(entries), width))
    return entries


# --- Commands -----------------------------------------------------------------------------------------------------------


def say(text):
    print(text)


def read_checkpoint(path, place):
    try:
        with open(path, "rb") as file:
            return Checkpoint(file.read(), place)
    except OSError as error:
        raise Bad(place, "cannot be read: %s" % error.strerror)


def verify_log(folder, vkey_file, witnesses, minimum, older_file):
    own = vkey_file is None
    key = read_key(os.path.join(folder, "vkey") if own else vkey_file, "vkey" if own else vkey_file)
    checkpoint = read_checkpoint(os.path.join(folder, "checkpoint"), "checkpoint")
    say("origin     %s" % checkpoint.origin)
    say("size       %d" % checkpoint.size)
    say("root       %s" % base64.b64encode(checkpoint.root).decode())
    if checkpoint.extensions:
        say("extensions %d lines, which mean nothing to this program" % len(checkpoint.extensions))
    check_signatures(checkpoint, key, witnesses)
    log = Log(folder, checkpoint, minimum)
    checked = log.verify()
    tiles = sum(1 for level in log.tiles for tile in level if tile is not None)
    say("verified   %d entries and %d tiles of %d levels" % (checked, tiles, len(log.tiles)))
    if older_file is not None:
        older = read_checkpoint(older_file, older_file)
        check_signatures(older, key, [])
        if older.size > log.size:
            raise Bad("checkpoint line 2", "is a smaller tree than that of %s, %d" % (older_file, older.size))
        if (log.subtree(0, older.size, []) if older.size else tree_hash([])) != older.root:
            raise Bad("checkpoint", "its log does not begin with the log of %s" % older_file)
        say("older      begins with the log of %d entries in %s" % (older.size, older_file))
    if log.pruned:
        gone = ", ".join("%d of tile/%s" % (count, level) for level, count in sorted(log.pruned.items(), key=lambda item: str(item[0])))
        say("pruned     not there, below the minimum index %d: %s" % (minimum, gone))
    if own:
        say("WARNING    the key came from the folder itself: compare its fingerprint with one you wrote down")
    say("key        SHA-256 %s" % hashlib.sha256(key.public).hexdigest())


def verify_proof(path, vkey_file, witnesses, entry_file):
    """c2sp.org/tlog-proof"""
    key = read_key(vkey_file, vkey_file)
    name = os.path.basename(path)
    with open(path, "rb") as file:
        data = file.read()
    head, empty, note = data.partition(b"\n\n")
    if not empty:
        raise Bad(name, "has no empty line before the checkpoint")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise Bad(name, "is not ASCII before the checkpoint")
    if lines[0] != "c2sp.org/tlog-proof@v1":
        raise Bad(name + " line 1", "is not c2sp.org/tlog-proof@v1")
    at, entry = 1, None
    if at < len(lines) and lines[at].startswith("extra "):
        entry = decode_base64(lines[at][6:], "%s line %d" % (name, at + 1))
        at += 1
    if entry_file is not None:
        with open(entry_file, "rb") as file:
            entry = file.read()
    match = re.match(r"^index (0|[1-9][0-9]*)\Z", lines[at]) if at < len(lines) else None
    if match is None:
        raise Bad("%s line %d" % (name, at + 1), "is not the index")
    index = int(match.group(1))
    if entry is None:
        raise Bad(name, "has no extra line with the entry, and no --entry was given")
    path_hashes = []
    for number, line in enumerate(lines[at + 1 :], at + 2):
        path_hashes.append(decode_base64(line, "%s line %d" % (name, number)))
        if len(path_hashes[-1]) != 32:
            raise Bad("%s line %d" % (name, number), "is not a SHA-256 hash")
    checkpoint = Checkpoint(note, name + " checkpoint")
    check_signatures(checkpoint, key, witnesses)
    if index >= checkpoint.size:
        raise Bad(name + " index", "is not below the tree size %d" % checkpoint.size)
    root = root_of_proof(leaf_hash(entry), index, checkpoint.size, path_hashes)
    if root is None:
        raise Bad(name, "has %d hashes, which is the wrong number" % len(path_hashes))
    if root != checkpoint.root:
        raise Bad(name, "the entry, its index and the hashes do not give the root of the checkpoint")
    say("verified   entry %d of %d in %s, SHA-256 of the leaf %s" % (
        index, checkpoint.size, checkpoint.origin, leaf_hash(entry).hex()))
    say("entry      %s" % entry.decode("utf-8", "backslashreplace").encode("unicode_escape").decode("ascii"))
    say("key        SHA-256 %s" % hashlib.sha256(key.public).hexdigest())


def read_key(path, place):
    try:
        with open(path, "rb") as file:
            text = file.read().decode("utf-8")
    except UnicodeDecodeError:
        raise Bad(place, "is not UTF-8")
    return Key(text[:-1] if text.endswith("\n") else text, place)


def witness_key(text):
    """A vkey, or @ and a file that holds one."""
    try:
        if text.startswith("@"):
            return read_key(text[1:], text[1:])
        return Key(text, "the witness %s" % text[:60])
    except (Bad, OSError) as error:
        raise argparse.ArgumentTypeError(str(error))


def minimum_index(text):
    if not re.match(r"^(0|[1-9][0-9]*)\Z", text):
        raise argparse.ArgumentTypeError("is not an index")
    return int(text)


def main(args):
    parser = argparse.ArgumentParser(description="Verifies a C2SP transparency log from its files alone.")
    commands = parser.add_subparsers(dest="command", metavar="log | proof")
    log = commands.add_parser("log", help="an exported log")
    log.add_argument("directory")
    log.add_argument("--older", metavar="CHECKPOINT", help="an older checkpoint of the log")
    log.add_argument("--minimum", type=minimum_index, default=0, help="entries below it may have been pruned")
    proof = commands.add_parser("proof", help="a .tlog-proof file")
    proof.add_argument("file")
    proof.add_argument("--entry", help="a file with the exact entry, instead of the extra line")
    for command in (log, proof):
        command.add_argument("--vkey", required=command is proof, help="a file with the log's verifier key")
        command.add_argument("--witness", type=witness_key, action="append", nargs="+", default=[], metavar="VKEY")
    options = parser.parse_args(args)
    if options.command is None:
        parser.error("log or proof")
    witnesses = [key for group in options.witness for key in group]
    for witness in witnesses:
        if witness.type == ED25519:
            parser.error("%s is not the key of a witness" % witness)
    try:
        if options.command == "log":
            if not os.path.isdir(options.directory):
                parser.error("%s is not a directory" % options.directory)
            verify_log(options.directory, options.vkey, witnesses, options.minimum, options.older)
        else:
            verify_proof(options.file, options.vkey, witnesses, options.entry)
    except Bad as error:
        print("FAILED: %s" % error)
        return 1
    except OSError as error:
        parser.error("%s: %s" % (error.filename, error.strerror))
    print("OK")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
