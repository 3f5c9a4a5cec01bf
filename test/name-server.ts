/**
 * A name server (RFC 1035) that knows what the tests ask for, on 127.0.0.1: a Worker, because the resolver blocks the
 * thread that asks.
 */
import { inet_pton, AF_INET, AF_INET6 } from "../src/index.ts";

const A = 1;
const CNAME = 5;
const PTR = 12;
const AAAA = 28;

const NOERROR = 0;
const FORMERR = 1;
const SERVFAIL = 2;
const NXDOMAIN = 3;
const NOTIMP = 4;
const REFUSED = 5;
/** It does not answer. */
const SILENT = -1;

type Resource = readonly [type: number, data: string];

const zone: Record<string, readonly Resource[] | number> = {
  "one.test": [
    [A, "10.0.0.1"],
    [AAAA, "fd00::1"],
  ],
  "four.test": [[A, "10.0.0.4"]],
  "six.test": [[AAAA, "fd00::6"]],
  "many.test": Array.from({ length: 25 }, (_, i): Resource => [A, `10.2.0.${i + 1}`]),
  "alias.test": [[CNAME, "one.test"]],
  "nodata.test": [],
  "xn--bcher-kva.test": [[A, "10.0.0.7"]],
  "under_score.test": [[A, "10.0.0.8"]],
  "refused.test": REFUSED,
  "servfail.test": SERVFAIL,
  "formerr.test": FORMERR,
  "silent.test": SILENT,
  "1.2.3.4": SILENT, // with a dot behind it, a name
  "notimp.test": NOTIMP,
  "1.0.0.10.in-addr.arpa": [[PTR, "one.test"]],
  "2.0.0.10.in-addr.arpa": [
    [PTR, "two"],
    [PTR, "two.test"],
  ],
  "4.0.0.10.in-addr.arpa": SERVFAIL,
  "5.0.0.10.in-addr.arpa": [],
  "6.0.0.10.in-addr.arpa": REFUSED,
  [`1${".0".repeat(27)}.d.f.ip6.arpa`]: SERVFAIL,
  [`1${".0".repeat(29)}.d.f.ip6.arpa`]: [[PTR, "one.test"]],
};

function packedName(name: string): Buffer {
  const labels = name.split(".").map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)]));
  return Buffer.concat([...labels, Buffer.of(0)]);
}

function packed(type: number, data: string): Buffer {
  if (type === A) return inet_pton(AF_INET, data);
  if (type === AAAA) return inet_pton(AF_INET6, data);
  return packedName(data);
}

function answer(query: Buffer): Buffer | null {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at++] ?? 0; length > 0; length = query[at++] ?? 0) {
    labels.push(query.toString("latin1", at, at + length));
    at += length;
  }
  const type = query.readUInt16BE(at);
  const question = query.subarray(12, at + 4);
  const known = zone[labels.join(".").toLowerCase()] ?? NXDOMAIN;
  if (known === SILENT) return null;
  const code = typeof known === "number" ? known : NOERROR;

  const answers: Buffer[] = [];
  const add = (owner: string, resources: readonly Resource[]): void => {
    for (const [kind, data] of resources) {
      if (kind !== type && kind !== CNAME) continue;
      const body = packed(kind, data);
      const head = Buffer.alloc(10); // type, class, time to live, length
      head.writeUInt16BE(kind, 0);
      head.writeUInt16BE(1, 2);
      head.writeUInt16BE(body.length, 8);
      answers.push(Buffer.concat([packedName(owner), head, body]));
      const target = zone[data];
      if (kind === CNAME && typeof target === "object") add(data, target);
    }
  };
  if (typeof known === "object") add(labels.join("."), known);

  const head = Buffer.alloc(12);
  query.copy(head, 0, 0, 2);
  head.writeUInt16BE(0x8580 | code, 2); // an answer, authoritative, recursion as asked for and to be had
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(answers.length, 6);
  return Buffer.concat([head, question, ...answers]);
}

await Bun.udpSocket({
  hostname: "127.0.0.1",
  port: 53,
  socket: {
    data(socket, query, port, address) {
      const found = answer(Buffer.from(query));
      if (found !== null) socket.send(found, port, address);
    },
  },
});
postMessage("ready");
