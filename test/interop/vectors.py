#!/usr/bin/env python3
"""Proves verify.py with published vectors: `python3 vectors.py [iterations]`. Exit 0 when all hold.

The signing halves of ML-DSA-44 (FIPS 204 algorithms 6 and 7) are here only because the published vectors need them.
"""
import base64
import hashlib
import sys

import verify as v

# RFC 8032 section 7.1: name, public key, message, signature
ED25519_VECTORS = [
    (
        "TEST 1",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        b"",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe2465514143"
        "8e7a100b",
    ),
    (
        "TEST 2",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        b"\x72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d2916"
        "12bb0c00",
    ),
    (
        "TEST 3",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        b"\xaf\x82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027bece"
        "ea1ec40a",
    ),
    (
        "TEST 1024",
        "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
        bytes.fromhex(
            "08b8b2b733424243760fe426a4b54908632110a66c2f6591eabd3345e3e4eb98fa6e264bf09efe12ee50f8f54e9f77b1e355f6c50544e23fb143"
            "3ddf73be84d879de7c0046dc4996d9e773f4bc9efe5738829adb26c81b37c93a1b270b20329d658675fc6ea534e0810a4432826bf58c941efb65"
            "d57a338bbd2e26640f89ffbc1a858efcb8550ee3a5e1998bd177e93a7363c344fe6b199ee5d02e82d522c4feba15452f80288a821a579116ec6d"
            "ad2b3b310da903401aa62100ab5d1a36553e06203b33890cc9b832f79ef80560ccb9a39ce767967ed628c6ad573cb116dbefefd75499da96bd68"
            "a8a97b928a8bbc103b6621fcde2beca1231d206be6cd9ec7aff6f6c94fcd7204ed3455c68c83f4a41da4af2b74ef5c53f1d8ac70bdcb7ed185ce"
            "81bd84359d44254d95629e9855a94a7c1958d1f8ada5d0532ed8a5aa3fb2d17ba70eb6248e594e1a2297acbbb39d502f1a8c6eb6f1ce22b3de1a"
            "1f40cc24554119a831a9aad6079cad88425de6bde1a9187ebb6092cf67bf2b13fd65f27088d78b7e883c8759d2c4f5c65adb7553878ad575f9fa"
            "d878e80a0c9ba63bcbcc2732e69485bbc9c90bfbd62481d9089beccf80cfe2df16a2cf65bd92dd597b0707e0917af48bbb75fed413d238f5555a"
            "7a569d80c3414a8d0859dc65a46128bab27af87a71314f318c782b23ebfe808b82b0ce26401d2e22f04d83d1255dc51addd3b75a2b1ae0784504"
            "df543af8969be3ea7082ff7fc9888c144da2af58429ec96031dbcad3dad9af0dcbaaaf268cb8fcffead94f3c7ca495e056a9b47acdb751fb73e6"
            "66c6c655ade8297297d07ad1ba5e43f1bca32301651339e22904cc8c42f58c30c04aafdb038dda0847dd988dcda6f3bfd15c4b4c4525004aa06e"
            "eff8ca61783aacec57fb3d1f92b0fe2fd1a85f6724517b65e614ad6808d6f6ee34dff7310fdc82aebfd904b01e1dc54b2927094b2db68d6f903b"
            "68401adebf5a7e08d78ff4ef5d63653a65040cf9bfd4aca7984a74d37145986780fc0b16ac451649de6188a7dbdf191f64b5fc5e2ab47b57f7f7"
            "276cd419c17a3ca8e1b939ae49e488acba6b965610b5480109c8b17b80e1b7b750dfc7598d5d5011fd2dcc5600a32ef5b52a1ecc820e308aa342"
            "721aac0943bf6686b64b2579376504ccc493d97e6aed3fb0f9cd71a43dd497f01f17c0e2cb3797aa2a2f256656168e6c496afc5fb93246f6b111"
            "6398a346f1a641f3b041e989f7914f90cc2c7fff357876e506b50d334ba77c225bc307ba537152f3f1610e4eafe595f6d9d90d11faa933a15ef1"
            "369546868a7f3a45a96768d40fd9d03412c091c6315cf4fde7cb68606937380db2eaaa707b4c4185c32eddcdd306705e4dc1ffc872eeee475a64"
            "dfac86aba41c0618983f8741c5ef68d3a101e8a3b8cac60c905c15fc910840b94c00a0b9d0"
        ),
        "0aab4c900501b3e24d7cdf4663326a3a87df5e4843b2cbdb67cbf6e460fec350aa5371b1508f9f4528ecea23c436d94b5e8fcd4f681e30a6ac00a970"
        "4a188a03",
    ),
    (
        "TEST SHA(abc)",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").digest(),
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef117"
        "7331a704",
    ),
]

# Accumulated ML-DSA-44 vectors of C2SP's Community Cryptography Test Vectors (CCTV, ML-DSA/accumulated): the SHAKE128 of all
# public keys and deterministic signatures of that many seeds.
MLDSA44_VECTORS = {
    100: "d51148e1f9f4fa1a723a6cf42e25f2a99eb5c1b378b3d2dbbd561b1203beeae4",
    10000: "e7fd21f6a59bcba60d65adc44404bb29a7c00e5d8d3ec06a732c00a306a7d143",
}

# The example of c2sp.org/signed-note's verifier keys
NOTE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NOTE = (
    "This is an example message.\n\n"
    "\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)

# The tree of eight leaves that Certificate Transparency's reference implementations share, and its root
CT_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
CT_ROOT = "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg="

# c2sp.org/tlog-tiles: the example index, and the example tree of 70,000 entries as tiles per level and the last one's width
TILE_PATHS = {(0, 1234067, 256): "tile/0/x001/x234/067", (1, 0, 17): "tile/1/000.p/17"}


def bounded_poly(seed):
    """Algorithms 31 and 15, eta = 2."""
    found = []
    for byte in v.shake256(seed, 512):
        found.extend(2 - half % 5 for half in (byte & 15, byte >> 4) if half < 15)
    return found[:256]


def keygen(seed):
    """Algorithm 6. The public key, and what signing needs."""
    expanded = v.shake256(seed + bytes([v.K, v.L]), 128)
    rho, rho2, key = expanded[:32], expanded[32:96], expanded[96:]
    a = v.expand_a(rho)
    s1 = [bounded_poly(rho2 + bytes([r, 0])) for r in range(v.L)]
    s2 = [bounded_poly(rho2 + bytes([r + v.L, 0])) for r in range(v.K)]
    t = [v.inverse_ntt(row) for row in v.multiply_rows(a, [v.ntt(poly) for poly in s1])]
    public, t0 = rho, []
    for poly, error in zip(t, s2):
        sums = [(x + e) % v.Q for x, e in zip(poly, error)]
        lows = [(x + 4095) % 8192 - 4095 for x in sums]  # Power2Round, algorithm 35
        public += v.pack_bits([(x - low) >> 13 for x, low in zip(sums, lows)], 10)
        t0.append(lows)
    return public, (a, key, [v.ntt(p) for p in s1], [v.ntt(p) for p in s2], [v.ntt(p) for p in t0])


def centred(x):
    x %= v.Q
    return x - v.Q if x > v.Q // 2 else x


def sign(public, secret, message, careless=False):
    """Algorithm 7, deterministic, with the empty context. A careless signer gives only what it should have thrown away: a z
    that is too large, in a signature that is right otherwise."""
    a, key, s1, s2, t0 = secret
    mu = v.shake256(v.shake256(public, 64) + b"\0\0" + message, 64)
    rho3 = v.shake256(key + bytes(32) + mu, 64)
    kappa = 0
    while True:
        y = []
        for r in range(v.L):
            data = v.shake256(rho3 + (kappa + r).to_bytes(2, "little"), 576)
            y.append([v.GAMMA1 - x for x in v.unpack_bits(data, 18)])
        kappa += v.L
        w = [v.inverse_ntt(row) for row in v.multiply_rows(a, [v.ntt(poly) for poly in y])]
        w1 = b"".join(v.pack_bits([v.decompose(x)[0] for x in poly], 6) for poly in w)
        c_tilde = v.shake256(mu + w1, 32)
        c = v.ntt(v.sample_in_ball(c_tilde))

        def times(poly):
            return v.inverse_ntt([x * m % v.Q for x, m in zip(c, poly)])

        z = [[centred(p + q) for p, q in zip(y[i], times(s1[i]))] for i in range(v.L)]
        if any(abs(x) >= v.GAMMA1 - v.BETA for poly in z for x in poly) != careless:
            continue
        if any(not -v.GAMMA1 < x <= v.GAMMA1 for poly in z for x in poly):
            continue  # would not even have an encoding
        rest = [[(p - q) % v.Q for p, q in zip(w[i], times(s2[i]))] for i in range(v.K)]
        if any(abs(v.decompose(x)[1]) >= v.GAMMA2 - v.BETA for poly in rest for x in poly):
            continue
        ct0 = [times(poly) for poly in t0]
        if any(abs(centred(x)) >= v.GAMMA2 for poly in ct0 for x in poly):
            continue
        # MakeHint(-ct0, w - cs2 + ct0), algorithm 39
        hints = [
            [j for j in range(256) if v.decompose(rest[i][j] + ct0[i][j])[0] != v.decompose(rest[i][j])[0]]
            for i in range(v.K)
        ]
        if sum(map(len, hints)) > v.OMEGA:
            continue
        packed, ends = b"".join(map(bytes, hints)), []
        for positions in hints:
            ends.append(len(positions) + (ends[-1] if ends else 0))
        return (
            c_tilde
            + b"".join(v.pack_bits([v.GAMMA1 - x for x in poly], 18) for poly in z)
            + packed.ljust(v.OMEGA, b"\0")
            + bytes(ends)
        )


def accumulated(iterations):
    seeds = hashlib.shake_128(b"").digest(32 * iterations)
    everything = hashlib.shake_128()
    for i in range(iterations):
        public, secret = keygen(seeds[32 * i : 32 * (i + 1)])
        signature = sign(public, secret, b"")
        everything.update(public + signature)
        if not v.mldsa44_verify(public, b"", signature):
            return "signature %d does not verify" % i
        spoiled = bytearray(signature)
        spoiled[i * 24 % 2420] ^= 1
        if v.mldsa44_verify(public, b"", bytes(spoiled)) or v.mldsa44_verify(public, b"x", signature):
            return "signature %d verifies although it was spoiled" % i
    return everything.digest(32).hex()


def check(name, holds):
    print("%s %s" % ("ok  " if holds else "FAIL", name))
    return holds


def main(iterations):
    good = True
    for name, public, message, signature in ED25519_VECTORS:
        key, sig = bytes.fromhex(public), bytes.fromhex(signature)
        good &= check("RFC 8032 7.1 " + name, v.ed25519_verify(key, message, sig))
        spoiled = [bytes(b ^ (i == at) for i, b in enumerate(sig)) for at in (0, 31, 32, 63)]
        larger = sig[:32] + (int.from_bytes(sig[32:], "little") + v.ORDER).to_bytes(32, "little")
        refused = not any(v.ed25519_verify(key, message, s) for s in spoiled + [larger, sig[:-1], sig + b"\0"])
        good &= check("RFC 8032 7.1 %s spoiled seven ways" % name, refused and not v.ed25519_verify(key, message + b"x", sig))
    text, signatures = v.parse_note(NOTE.encode(), "note")
    key = v.Key(NOTE_KEY, "key")
    good &= check("C2SP signed-note example", signatures[0][1:3] == (key.name, key.id)
                  and v.ed25519_verify(key.public, text.encode(), signatures[0][3]))
    leaves = [v.leaf_hash(bytes.fromhex(leaf)) for leaf in CT_LEAVES]
    good &= check("RFC 6962 tree of eight leaves", v.tree_hash(leaves) == base64.b64decode(CT_ROOT))
    good &= check("RFC 6962 empty tree", v.tree_hash([]).hex().startswith("e3b0c442"))
    good &= check("C2SP tlog-tiles paths", all(
        v.tile_path(*tile) == path and v.parse_tile_path(path) == tile for tile, path in TILE_PATHS.items()))
    log = v.Log.__new__(v.Log)
    log.size = 70000
    shape = [[width for _, width in log.widths(level)] for level in range(3)]
    good &= check("C2SP tlog-tiles 70,000", shape == [[256] * 273 + [112], [256, 17], [1]])
    public, secret = keygen(bytes(32))
    good &= check("FIPS 204 refuses a z that is too large", v.mldsa44_verify(public, b"m", sign(public, secret, b"m"))
                  and not v.mldsa44_verify(public, b"m", sign(public, secret, b"m", careless=True)))
    got = accumulated(iterations)
    good &= check("CCTV ML-DSA-44 accumulated, %d iterations: %s" % (iterations, got), got == MLDSA44_VECTORS.get(iterations))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
