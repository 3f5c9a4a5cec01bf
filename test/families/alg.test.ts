/**
 * AF_ALG, the kernel's cryptography: `Socket.sendmsgAfalg` and plain messages, compared with node:crypto on the same input.
 *
 * Peers: node:crypto, CPython.
 */
import { expect, setDefaultTimeout } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createCipheriv, createHash, createHmac, randomBytes } from "node:crypto";
import {
  AF_ALG,
  AF_INET,
  type AlgAddressLike,
  ALG_OP_DECRYPT,
  ALG_OP_ENCRYPT,
  ALG_SET_AEAD_ASSOCLEN,
  ALG_SET_AEAD_AUTHSIZE,
  ALG_SET_IV,
  ALG_SET_KEY,
  ALG_SET_OP,
  MSG_MORE,
  OSError,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
  Socket,
  SOL_ALG,
} from "../../src/index.ts";
import { codeOf, Folder, isLinux, needs, python, pythonPeer, slowness, Sockets, thrown, works } from "../help.ts";
import { Program } from "../program.ts";

setDefaultTimeout(30_000 * slowness);

const hasAfAlg = AF_ALG !== undefined && works(() => new Socket(AF_ALG, SOCK_SEQPACKET));
const afAlg = needs("AF_ALG", hasAfAlg);

const key = Buffer.from("000102030405060708090a0b0c0d0e0f", "hex");
const iv = Buffer.from(Array.from({ length: 16 }, (_, i) => 0xf0 - i));

/** A socket that is bound to an algorithm; operations are what it accepts. */
function algorithm(own: Sockets, ...address: AlgAddressLike): Socket<"AF_ALG"> {
  const sock = own.add(new Socket(AF_ALG, SOCK_SEQPACKET));
  sock.bind(address);
  return sock;
}

/** A socket for operations of an algorithm; `prepare` sets what belongs to all of them. */
function operation(own: Sockets, type: string, name: string, prepare?: (algorithm: Socket) => void): Socket<"AF_ALG"> {
  const bound = algorithm(own, type, name);
  prepare?.(bound);
  const [conn, address] = bound.accept();
  expect(address as unknown).toBeNull(); // the kernel has none, and is not asked for one
  conn.settimeout(10 * slowness);
  return own.add(conn);
}

const withKey = (value: Buffer) => (sock: Socket) => sock.setsockopt(SOL_ALG, ALG_SET_KEY, value);

/** A cipher's result by node:crypto, without padding. */
function nodeCipher(name: string, secret: Buffer, vector: Buffer, plain: Buffer): Buffer {
  const cipher = createCipheriv(name, secret, vector).setAutoPadding(false);
  return Buffer.concat([cipher.update(plain), cipher.final()]);
}

/** Encrypted data and its tag, by node:crypto. */
function nodeGcm(secret: Buffer, vector: Buffer, assoc: string, plain: string, tag = 16): Buffer {
  const cipher = createCipheriv(secret.length === 16 ? "aes-128-gcm" : "aes-256-gcm", secret, vector, {
    authTagLength: tag,
  }).setAAD(Buffer.from(assoc));
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

afAlg("an address has two to four fields, and is of bind alone", () => {
  using own = new Sockets();
  const addresses: AlgAddressLike[] = [
    ["hash", "sha256"],
    ["hash", "sha256", 0],
    ["hash", "sha256", 0, 0],
    ["skcipher", "cbc(aes)", 0, 0],
    ["hash", "sha256", 0, 0x1000], // CRYPTO_ALG_KERN_DRIVER_ONLY: one that is not for the kernel alone
  ];
  for (const address of addresses) algorithm(own, ...address);
  const sock = algorithm(own, "hash", "sha1");
  const [conn] = sock.accept();
  own.add(conn);
  expect(conn.family).toBe(AF_ALG);
  for (const one of [sock, conn]) {
    for (const call of [
      () => one.getsockname(),
      () => one.getpeername(),
      () => one.connect(["hash", "sha1"]),
      () => one.listen(),
    ]) {
      expect(codeOf(call)).toBe("EOPNOTSUPP");
    }
  }
});

afAlg.each([
  [["hash", "no-such-hash"], "ENOENT"],
  [["no-such-type", "sha256"], "ENOENT"],
  [["hash", "cbc(aes)"], "ENOENT"],
  [["", ""], "ENOENT"],
  [["hash", "sha256", 2 ** 31, 0], "EINVAL"], // no feature that may be asked for
  [["hash", "sha256", 0, 0x80], "EINVAL"], // nor that may be looked at
] as const)("the system knows no %j: %s", (address, code) => {
  using own = new Sockets();
  const sock = own.add(new Socket(AF_ALG, SOCK_SEQPACKET));
  const error = thrown(() => sock.bind(address as unknown as AlgAddressLike));
  expect(error.code).toBe(code);
  expect(error.address as unknown).toEqual(address);
  expect(error.message).toStartWith(`bind ${code} ${address.join(",")}`.slice(0, 11));
});

afAlg("what is no address is refused before any call", () => {
  using own = new Sockets();
  const sock = own.add(new Socket(AF_ALG, SOCK_SEQPACKET));
  for (const [address, error] of [
    ["sha256", /^address: /],
    [["hash"], /^address: /],
    [["hash", "sha256", 0, 0, 0], /^address: /],
    [[1, "sha256"], /^address\[0\]: /],
    [["x".repeat(14), "sha256"], /^address\[0\]: /],
    [["hash", null], /^address\[1\]: /],
    [["hash", "x".repeat(64)], /^address\[1\]: /],
    [["hash", "sha256\0"], /^address\[1\]: /],
    [["hash", "sha256", -1], /^address\[2\]: /],
    [["hash", "sha256", 0, 2 ** 32], /^address\[3\]: /],
  ] as const) {
    const wrong = () => sock.bind(address as unknown as AlgAddressLike);
    expect(wrong).toThrow(error);
    expect(wrong).not.toThrow(OSError);
  }
  expect(codeOf(() => sock.accept())).toBe("EINVAL"); // it is bound to nothing
});

// Hashes

const inputs: [name: string, parts: (string | Buffer)[]][] = [
  ["nothing", [""]],
  ["three bytes", ["abc"]],
  ["several parts", ["part ", "and ", "part", ""]],
  ["a megabyte in parts", Array.from({ length: 64 }, (_, i) => Buffer.alloc(16_384, i))],
];

afAlg.each(["sha1", "sha256", "sha512", "md5"])("%s of any parts is that of node:crypto", (name) => {
  using own = new Sockets();
  const hash = operation(own, "hash", name);
  for (const [input, parts] of inputs) {
    for (const [i, part] of parts.entries()) {
      const flags = i < parts.length - 1 ? MSG_MORE : 0;
      expect(hash.send(part, flags)).toBe(part.length);
    }
    const expected = parts.reduce((sum, part) => sum.update(part), createHash(name)).digest();
    expect([input, hash.recv(64)]).toEqual([input, expected]);
  }
});

afAlg("a digest may be received in part, and is told to be cut", () => {
  using own = new Sockets();
  const hash = operation(own, "hash", "sha256");
  hash.send("abc");
  expect(hash.recv(10)).toEqual(createHash("sha256").update("abc").digest().subarray(0, 10));
});

afAlg("an operation that is accepted again goes on from where the first one is", () => {
  using own = new Sockets();
  const hash = operation(own, "hash", "sha256");
  hash.send("begun ", MSG_MORE);
  const [copy] = hash.accept();
  own.add(copy);
  hash.send("here");
  copy.send("there");
  expect(hash.recv(64)).toEqual(createHash("sha256").update("begun here").digest());
  expect(copy.recv(64)).toEqual(createHash("sha256").update("begun there").digest());
});

afAlg("hmac(sha256) goes by its key, of any length", () => {
  using own = new Sockets();
  for (const secret of [Buffer.from("k"), key, randomBytes(200)]) {
    const hmac = operation(own, "hash", "hmac(sha256)", withKey(secret));
    for (const [input, parts] of inputs.slice(0, 3)) {
      for (const [i, part] of parts.entries()) hmac.send(part, i < parts.length - 1 ? MSG_MORE : 0);
      const expected = parts.reduce((sum, part) => sum.update(part), createHmac("sha256", secret)).digest();
      expect([input, hmac.recv(64)]).toEqual([input, expected]);
    }
  }
  const keyless = operation(own, "hash", "hmac(sha256)");
  expect(codeOf(() => keyless.send("x"))).toBe("ENOKEY");
});

// Ciphers

afAlg.each([
  ["cbc(aes)", "aes-128-cbc", 16],
  ["cbc(aes)", "aes-256-cbc", 32],
  ["ctr(aes)", "aes-128-ctr", 16],
] as const)("%s as %s, both ways, in one message and in several", (name, node, size) => {
  using own = new Sockets();
  const secret = Buffer.from(Array.from({ length: size }, (_, i) => i * 3));
  const cipher = operation(own, "skcipher", name, withKey(secret));
  const plain = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  const expected = nodeCipher(node, secret, iv, plain);
  expect(cipher.sendmsgAfalg([plain], { op: ALG_OP_ENCRYPT, iv })).toBe(256);
  expect(cipher.recv(256)).toEqual(expected);
  cipher.sendmsgAfalg([expected.subarray(0, 16), expected.subarray(16)], { op: ALG_OP_DECRYPT, iv });
  expect(cipher.recv(256)).toEqual(plain);

  // What follows goes on with the operation, without control messages.
  cipher.sendmsgAfalg([plain.subarray(0, 64)], { op: ALG_OP_ENCRYPT, iv, flags: MSG_MORE });
  cipher.send(plain.subarray(64, 128), MSG_MORE);
  cipher.sendmsg([plain.subarray(128)]);
  expect(cipher.recv(256)).toEqual(expected);
});

afAlg("a stream of bytes need not end with a block, a cipher of blocks must", () => {
  using own = new Sockets();
  const plain = Buffer.from("not a multiple of sixteen");
  const counter = operation(own, "skcipher", "ctr(aes)", withKey(key));
  counter.sendmsgAfalg([plain], { op: ALG_OP_ENCRYPT, iv });
  expect(counter.recv(100)).toEqual(nodeCipher("aes-128-ctr", key, iv, plain));
  const blocks = operation(own, "skcipher", "cbc(aes)", withKey(key));
  blocks.sendmsgAfalg([plain], { op: ALG_OP_ENCRYPT, iv });
  expect(codeOf(() => blocks.recv(100))).toBe("EINVAL");
});

afAlg("an initialisation vector of another length, a key of another length, and no key are refused", () => {
  using own = new Sockets();
  const cipher = operation(own, "skcipher", "cbc(aes)", withKey(key));
  for (const wrong of [iv.subarray(1), Buffer.alloc(17), Buffer.alloc(0)]) {
    expect(codeOf(() => cipher.sendmsgAfalg(["x"], { op: ALG_OP_ENCRYPT, iv: wrong }))).toBe("EINVAL");
  }
  expect(codeOf(() => cipher.sendmsgAfalg(["x"], { op: 77, iv }))).toBe("EINVAL");
  const bound = algorithm(own, "skcipher", "cbc(aes)");
  expect(codeOf(() => bound.setsockopt(SOL_ALG, ALG_SET_KEY, key.subarray(1)))).toBe("EINVAL");
  const keyless = operation(own, "skcipher", "cbc(aes)");
  expect(codeOf(() => keyless.sendmsgAfalg(["x".repeat(16)], { op: ALG_OP_ENCRYPT, iv }))).toBe("ENOKEY");
});

afAlg("sendmsgAfalg is sendmsg with the control messages of its options", () => {
  using own = new Sockets();
  const cipher = operation(own, "skcipher", "cbc(aes)", withKey(key));
  const struct = Buffer.concat([Buffer.from(Uint32Array.of(16).buffer), iv]); // struct af_alg_iv
  cipher.sendmsg(
    ["sixteen bytes!!!"],
    [
      [SOL_ALG, ALG_SET_OP, Uint32Array.of(ALG_OP_ENCRYPT)],
      [SOL_ALG, ALG_SET_IV, struct],
    ],
  );
  expect(cipher.recv(16)).toEqual(nodeCipher("aes-128-cbc", key, iv, Buffer.from("sixteen bytes!!!")));
  const wrong: [unknown, unknown, RegExp][] = [
    [["x"], undefined, /^options\.op: /],
    [["x"], {}, /^options\.op: /],
    [["x"], { op: -1 }, /^options\.op: /],
    [["x"], { op: "1" }, /^options\.op: /],
    [["x"], { op: 1, iv: "text is bytes", other: 1 }, /^options/],
    [["x"], { op: 1, iv: 5 }, /^options\.iv: /],
    [["x"], { op: 1, assoclen: -1 }, /^options\.assoclen: /],
    [["x"], { op: 1, assoclen: 2 ** 31 }, /^options\.assoclen: /],
    [["x"], { op: 1, flags: 0.5 }, /^options\.flags: /],
    ["x", { op: 1 }, /^buffers/],
    [[5], { op: 1 }, /^buffers\[0\]: /],
  ];
  for (const [buffers, options, error] of wrong) {
    expect(() => cipher.sendmsgAfalg(buffers as never, options as never)).toThrow(error);
  }
});

// Authenticated encryption

/** gcm(aes) with a tag of so many bytes. */
const gcm = (own: Sockets, secret: Buffer, tag: number) =>
  operation(own, "aead", "gcm(aes)", (sock) => {
    sock.setsockopt(SOL_ALG, ALG_SET_KEY, secret);
    sock.setsockopt(SOL_ALG, ALG_SET_AEAD_AUTHSIZE, null, tag); // the length is the value
  });

afAlg.each([
  [16, 16],
  [32, 16],
  [16, 12],
])("gcm(aes) with a key of %i bytes and a tag of %i, both ways", (size, tag) => {
  using own = new Sockets();
  const secret = Buffer.from(Array.from({ length: size }, (_, i) => 7 * i));
  const vector = iv.subarray(0, 12);
  const [assoc, plain] = ["associated", "a secret of some length"];
  const aead = gcm(own, secret, tag);
  const expected = nodeGcm(secret, vector, assoc, plain, tag);
  const common = { iv: vector, assoclen: assoc.length };
  aead.sendmsgAfalg([assoc, plain], { op: ALG_OP_ENCRYPT, ...common });
  const all = aead.recv(assoc.length + plain.length + tag);
  expect(all.subarray(assoc.length)).toEqual(expected);

  aead.sendmsgAfalg([assoc, expected], { op: ALG_OP_DECRYPT, ...common });
  expect(
    aead
      .recv(assoc.length + plain.length)
      .subarray(assoc.length)
      .toString(),
  ).toBe(plain);
  aead.sendmsgAfalg([assoc, expected.subarray(0, 5)], { op: ALG_OP_DECRYPT, ...common, flags: MSG_MORE });
  aead.send(expected.subarray(5));
  const [length, into] = [assoc.length + plain.length, Buffer.alloc(assoc.length + plain.length)];
  expect(aead.recvInto(into)).toBe(length);
  expect(into.subarray(assoc.length).toString()).toBe(plain);
});

afAlg("what was changed fails its authentication with EBADMSG, and the socket is good for more", () => {
  using own = new Sockets();
  const vector = iv.subarray(0, 12);
  const aead = gcm(own, key, 16);
  const secret = nodeGcm(key, vector, "assoc", "text");
  const open = (assoc: string, data: Buffer): string => {
    aead.sendmsgAfalg([assoc, data], { op: ALG_OP_DECRYPT, iv: vector, assoclen: 5 });
    return codeOf(() => aead.recv(5 + 4));
  };
  for (const at of [0, 3, 4, 19]) {
    const changed = Buffer.from(secret);
    changed[at]! ^= 1;
    expect([at, open("assoc", changed)]).toEqual([at, "EBADMSG"]);
  }
  expect(open("Assoc", secret)).toBe("EBADMSG");
  expect(open("assoc", secret)).toStartWith("nothing thrown");
});

afAlg("no text, and no associated data", () => {
  using own = new Sockets();
  const vector = iv.subarray(0, 12);
  const aead = gcm(own, key, 16);
  aead.sendmsgAfalg(["only this"], { op: ALG_OP_ENCRYPT, iv: vector, assoclen: 9 });
  expect(aead.recv(9 + 16).subarray(9)).toEqual(nodeGcm(key, vector, "only this", ""));
  aead.sendmsgAfalg(["no more"], { op: ALG_OP_ENCRYPT, iv: vector, assoclen: 0 });
  expect(aead.recv(7 + 16)).toEqual(nodeGcm(key, vector, "", "no more"));
  aead.sendmsg(
    ["abtext"],
    [
      [SOL_ALG, ALG_SET_OP, Uint32Array.of(ALG_OP_ENCRYPT)],
      [SOL_ALG, ALG_SET_IV, Buffer.concat([Buffer.from([12, 0, 0, 0]), vector])],
      [SOL_ALG, ALG_SET_AEAD_ASSOCLEN, Uint32Array.of(2)],
    ],
  );
  expect(aead.recv(2 + 4 + 16).subarray(2)).toEqual(nodeGcm(key, vector, "ab", "text"));
});

afAlg("a tag's length that the algorithm has not is refused", () => {
  using own = new Sockets();
  const bound = algorithm(own, "aead", "gcm(aes)");
  for (const tag of [3, 17]) {
    expect(codeOf(() => bound.setsockopt(SOL_ALG, ALG_SET_AEAD_AUTHSIZE, null, tag))).toBe("EINVAL");
  }
  expect(codeOf(() => bound.setsockopt(SOL_ALG, ALG_SET_KEY, null, 16))).toBe("EFAULT"); // a key has bytes
  expect(() => bound.setsockopt(SOL_ALG, ALG_SET_AEAD_AUTHSIZE, null, -1)).toThrow(/^optlen: /);
  expect(codeOf(() => bound.setsockopt(SOL_ALG, 99, 1))).toBe("ENOPROTOOPT");
});

// Random numbers

afAlg("a generator that is seeded gives bytes, the same for the same seed", () => {
  using own = new Sockets();
  const seeded = () => operation(own, "rng", "ansi_cprng", withKey(Buffer.alloc(48, 5)));
  const [first, second] = [seeded(), seeded()];
  const bytes = first.recv(32);
  expect(bytes).toHaveLength(32);
  expect(second.recv(32)).toEqual(bytes);
  expect(first.recv(32)).not.toEqual(bytes);
});

afAlg("stdrng gives other bytes each time", () => {
  using own = new Sockets();
  const rng = operation(own, "rng", "stdrng", withKey(Buffer.alloc(48, 9)));
  const [one, two] = [rng.recv(64), rng.recv(64)];
  expect([one.length, two.length]).toEqual([64, 64]);
  expect(one).not.toEqual(two);
  expect(codeOf(() => rng.send("entropy"))).toBe("EOPNOTSUPP");
});

afAlg("examples/sha256-kernel.ts prints what sha256sum prints", async () => {
  using folder = new Folder();
  const example = join(import.meta.dir, "..", "..", "examples", "sha256-kernel.ts");
  const contents = [Buffer.alloc(0), Buffer.from("abc"), randomBytes(65_536), randomBytes(200_000)];
  const paths = contents.map((content, i) => {
    writeFileSync(folder.file(`file ${i}`), content);
    return folder.file(`file ${i}`);
  });
  const { stdout, stderr, status } = await new Program([process.execPath, example, ...paths]).end();
  const lines = contents.map((content, i) => `${createHash("sha256").update(content).digest("hex")}  ${paths[i]}`);
  expect([stdout.split("\n"), stderr, status]).toEqual([lines, "", 0]);
  const gone = await new Program([process.execPath, example, folder.file("none")]).end();
  expect([gone.status, gone.stderr]).toEqual([1, expect.stringContaining("ENOENT")]);
});

// Elsewhere

needs("Linux", isLinux)("a socket of another family has no such operations", () => {
  using sock = new Socket(AF_INET, SOCK_DGRAM);
  expect(codeOf(() => sock.sendmsgAfalg(["x"], { op: ALG_OP_ENCRYPT }))).toBe("EOPNOTSUPP");
});

needs("AF_ALG with python3", hasAfAlg && python !== null)("CPython: the same results and errors", async () => {
  using own = new Sockets();
  using peer = pythonPeer(`
def bind(*address):
    s = socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)
    s.bind(address)
    return s
def code(call):
    try: print(call())
    except OSError as e: print(e.errno)
h, _ = bind("hash", "sha256").accept()
h.sendall(b"begun ", socket.MSG_MORE)
h.sendall(b"here")
print(h.recv(64).hex())
a = bind("aead", "gcm(aes)")
a.setsockopt(socket.SOL_ALG, socket.ALG_SET_KEY, bytes(range(16)))
a.setsockopt(socket.SOL_ALG, socket.ALG_SET_AEAD_AUTHSIZE, None, 16)
op, _ = a.accept()
op.sendmsg_afalg([b"assoc", b"text"], op=socket.ALG_OP_ENCRYPT, iv=bytes(12), assoclen=5)
print(op.recv(25)[5:].hex())
code(lambda: bind("hash", "no-such-hash"))
code(lambda: h.getsockname())
code(lambda: a.setsockopt(socket.SOL_ALG, socket.ALG_SET_AEAD_AUTHSIZE, None, 17))
code(lambda: bind("skcipher", "cbc(aes)").accept()[0].sendmsg_afalg([b"x" * 16], op=socket.ALG_OP_ENCRYPT, iv=bytes(16)))`);
  const hash = operation(own, "hash", "sha256");
  hash.sendall("begun ", MSG_MORE);
  hash.sendall("here");
  const bound = algorithm(own, "aead", "gcm(aes)");
  bound.setsockopt(SOL_ALG, ALG_SET_KEY, key);
  bound.setsockopt(SOL_ALG, ALG_SET_AEAD_AUTHSIZE, null, 16);
  const [aead] = bound.accept();
  own.add(aead);
  aead.sendmsgAfalg(["assoc", "text"], { op: ALG_OP_ENCRYPT, iv: Buffer.alloc(12), assoclen: 5 });
  const keyless = operation(own, "skcipher", "cbc(aes)");
  const encrypt = () => keyless.sendmsgAfalg(["x".repeat(16)], { op: ALG_OP_ENCRYPT, iv: Buffer.alloc(16) });
  const errno = (call: () => unknown): string => String(thrown(call).errno);
  expect((await peer.output()).split("\n")).toEqual([
    hash.recv(64).toString("hex"),
    aead.recv(25).toString("hex", 5),
    errno(() => algorithm(own, "hash", "no-such-hash")),
    errno(() => hash.getsockname()),
    errno(() => bound.setsockopt(SOL_ALG, ALG_SET_AEAD_AUTHSIZE, null, 17)),
    errno(encrypt),
  ]);
});
