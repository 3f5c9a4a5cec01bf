/** `Socket.sendmsgAfalg`: the kernel's cryptography, compared with that of `node:crypto`. */
import { expect } from "bun:test";
import { createCipheriv, createHash } from "node:crypto";
import {
  AF_ALG,
  ALG_OP_DECRYPT,
  ALG_OP_ENCRYPT,
  ALG_SET_AEAD_AUTHSIZE,
  ALG_SET_KEY,
  SOCK_SEQPACKET,
  Socket,
  SOL_ALG,
} from "../src/index.ts";
import { needs, Sockets } from "./help.ts";

function hasAfAlg(): boolean {
  if (AF_ALG === undefined) return false;
  try {
    new Socket(AF_ALG, SOCK_SEQPACKET).close();
    return true;
  } catch {
    return false;
  }
}
const afAlg = needs("AF_ALG", hasAfAlg());

const key = Buffer.from("000102030405060708090a0b0c0d0e0f", "hex");

/** A socket for operations of an algorithm; `prepare` sets what belongs to all of them. */
function operation(own: Sockets, type: string, name: string, prepare?: (algorithm: Socket) => void): Socket {
  const algorithm = own.add<Socket>(new Socket(AF_ALG, SOCK_SEQPACKET));
  const address = Buffer.alloc(86); // struct sockaddr_alg behind its family: type, feat, mask, name
  address.write(type, 0);
  address.write(name, 22);
  algorithm.bind([AF_ALG, address]);
  prepare?.(algorithm);
  const [conn] = algorithm.accept(); // has no address, and must not be asked for one
  return own.add(conn);
}

afAlg("a hash", () => {
  using own = new Sockets();
  const hash = operation(own, "hash", "sha256");
  hash.send("abc");
  expect(hash.recv(64)).toEqual(createHash("sha256").update("abc").digest());
});

afAlg("a cipher with its initialisation vector, both ways", () => {
  using own = new Sockets();
  const cipher = operation(own, "skcipher", "cbc(aes)", (a) => a.setsockopt(SOL_ALG, ALG_SET_KEY, key));
  const iv = Buffer.alloc(16, 7);
  const plain = Buffer.alloc(32, 1);
  const node = createCipheriv("aes-128-cbc", key, iv).setAutoPadding(false);
  const secret = Buffer.concat([node.update(plain), node.final()]);
  expect(cipher.sendmsgAfalg([plain], { op: ALG_OP_ENCRYPT, iv })).toBe(32);
  expect(cipher.recv(32)).toEqual(secret);
  cipher.sendmsgAfalg([secret.subarray(0, 16), secret.subarray(16)], { op: ALG_OP_DECRYPT, iv });
  expect(cipher.recv(32)).toEqual(plain);
});

afAlg("authenticated encryption", () => {
  using own = new Sockets();
  const aead = operation(own, "aead", "gcm(aes)", (a) => {
    a.setsockopt(SOL_ALG, ALG_SET_KEY, key);
    a.setsockopt(SOL_ALG, ALG_SET_AEAD_AUTHSIZE, null, 16);
  });
  const iv = Buffer.alloc(12, 3);
  const node = createCipheriv("aes-128-gcm", key, iv).setAAD(Buffer.from("assoc"));
  const secret = Buffer.concat([node.update("plain text here!"), node.final(), node.getAuthTag()]);
  aead.sendmsgAfalg(["assoc", "plain text here!"], { op: ALG_OP_ENCRYPT, iv, assoclen: 5 });
  expect(aead.recv(5 + 16 + 16).subarray(5)).toEqual(secret);
});
