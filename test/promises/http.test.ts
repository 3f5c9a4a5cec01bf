/** A real HTTP server (nginx), spoken to by hand: RFC 9112. */
import { afterAll, beforeAll, expect } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { AF_UNIX, createConnection, createServer, type ServerSocket, Socket } from "../../src/promises.ts";
import { Folder, needs, slowness, socketCount } from "../help.ts";
import { program, Server } from "./servers.ts";

const nginx = program("nginx");
const withServer = needs("nginx: install Debian's nginx-light", nginx !== null);

const LARGE = 6_000_000;
const large = Buffer.from(Uint32Array.from({ length: LARGE / 4 }, (_, i) => Math.imul(i, 2654435761)).buffer);
const words = "one line of many, and its number is told at its end: ";
const text = Array.from({ length: 50_000 }, (_, i) => `${words}${i}\n`).join("");

let folder: Folder;
let server: Server;
/** What nginx passes some requests on to: it answers with what it was sent, in chunks. */
let behind: ServerSocket<"AF_INET">;
let serving: Promise<void>;

beforeAll(async () => {
  if (nginx === null) return;
  folder = new Folder();
  for (const name of ["www", "www/uploads", "temporary"]) mkdirSync(folder.file(name));
  writeFileSync(folder.file("www/large"), large);
  writeFileSync(folder.file("www/text"), text);
  for (let i = 0; i < 20; i++) writeFileSync(folder.file(`www/small${i}`), `file ${i}`.repeat(i + 1));
  behind = createServer(["127.0.0.1", 0]);
  serving = serve(behind);
  const kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const configuration = (port: number) => `
    ${process.getuid?.() === 0 ? "user root;" : ""}
    daemon off; worker_processes 1; pid ${folder.file("pid")};
    events { worker_connections 4096; }
    http {
      access_log off; keepalive_requests 100000;
      ${kinds.map((kind) => `${kind}_temp_path ${folder.file("temporary")}/${kind};`).join(" ")}
      server {
        listen 127.0.0.1:${port} backlog=1024; listen unix:${folder.file("socket")};
        root ${folder.file("www")};
        client_max_body_size 0;
        location = /packed { alias ${folder.file("www/text")}; gzip on; gzip_types *; gzip_comp_level 1; }
        location /uploads/ { dav_methods PUT DELETE; }
        location /behind {
          proxy_pass http://127.0.0.1:${behind.getsockname()[1]};
          proxy_http_version 1.1; proxy_request_buffering off; proxy_buffering off;
        }
      }
    }`;
  server = await Server.start((port) => {
    writeFileSync(folder.file("nginx.conf"), configuration(port));
    return [nginx, "-e", "stderr", "-p", folder.path, "-c", folder.file("nginx.conf")];
  });
});
afterAll(async () => {
  if (nginx === null) return;
  await server[Symbol.asyncDispose]();
  behind.close();
  await serving;
  folder[Symbol.dispose]();
});

interface Head {
  first: string;
  fields: Map<string, string>;
}

/** The head of a message, up to its empty line; null where the connection has ended. */
async function head(conn: Socket): Promise<Head | null> {
  let first: string | undefined;
  const fields = new Map<string, string>();
  for await (const line of conn.lines()) {
    if (line === "") break;
    const colon = line.indexOf(":");
    if (first === undefined) first = line;
    else fields.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  return first === undefined ? null : { first, fields };
}

async function fillFrom(conn: Socket, whole: Buffer): Promise<Buffer> {
  for (let at = 0; at < whole.length;) {
    const n = await conn.recvInto(whole.subarray(at));
    if (n === 0) throw new Error(`the connection ended after ${at} of ${whole.length} bytes`);
    at += n;
  }
  return whole;
}

/** Chunks, without what frames them. */
async function* chunksOf(conn: Socket): AsyncGenerator<Buffer> {
  for (;;) {
    const { value: size } = await conn.lines().next();
    const length = parseInt(size!, 16);
    if (length > 0) yield await fillFrom(conn, Buffer.alloc(length));
    const { value: end } = await conn.lines().next();
    expect(end).toBe("");
    if (length === 0) return;
  }
}

async function body(conn: Socket, { fields }: Head): Promise<Buffer> {
  if (fields.get("transfer-encoding") === "chunked") return Buffer.concat(await Array.fromAsync(chunksOf(conn)));
  return fillFrom(conn, Buffer.alloc(Number(fields.get("content-length") ?? 0)));
}

async function response(conn: Socket): Promise<[status: number, body: Buffer, head: Head]> {
  const said = await head(conn);
  if (said === null) throw new Error("no response");
  return [Number(said.first.split(" ")[1]), await body(conn, said), said];
}

const request = (method: string, path: string, ...fields: string[]): string =>
  [`${method} ${path} HTTP/1.1`, "Host: test", ...fields, "", ""].join("\r\n");

/** The server behind: what came goes back, in chunks. (All of it came before: nginx does not do both at once.) */
async function serve(listener: ServerSocket): Promise<void> {
  for await (const [conn] of listener) {
    void (async () => {
      await using open = conn;
      for (let asked = await head(open); asked !== null; asked = await head(open)) {
        const data = await body(open, asked);
        await open.sendall("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (let at = 0; at < data.length; at += 100_000) {
          const chunk = data.subarray(at, at + 100_000);
          await open.sendmsg([`${chunk.length.toString(16)}\r\n`]);
          await open.sendall(chunk);
          await open.sendall("\r\n");
        }
        await open.sendall("0\r\n\r\n");
        if (asked.fields.get("connection") === "close") return;
      }
    })();
  }
}

const connected = () => createConnection(server.address, { timeout: 20 * slowness });

withServer("one connection, many requests: files, HEAD, and what is not there", async () => {
  using conn = await connected();
  for (let i = 0; i < 20; i++) {
    await conn.sendall(request("GET", `/small${i}`));
    const [status, data] = await response(conn);
    expect([status, String(data)]).toEqual([200, `file ${i}`.repeat(i + 1)]);

    await conn.sendall(request("HEAD", "/large"));
    const said = await head(conn);
    expect([said!.first, said!.fields.get("content-length")]).toEqual(["HTTP/1.1 200 OK", `${LARGE}`]);

    await conn.sendall(request("GET", "/nowhere"));
    expect((await response(conn))[0]).toBe(404);
  }
  await conn.sendall(request("GET", "/small0", "Connection: close"));
  expect((await response(conn))[0]).toBe(200);
  expect((await conn.recv(1)).length).toBe(0);
});

withServer("requests in one piece, and byte by byte, are answered in their order", async () => {
  using conn = await connected();
  const asked = Array.from({ length: 100 }, (_, i) => request("GET", `/small${i % 20}`)).join("");
  const sending = (async () => {
    await conn.sendall(asked);
    for (const byte of Buffer.from(request("GET", "/small7"))) await conn.send(Uint8Array.of(byte));
  })();
  for (let i = 0; i <= 100; i++) {
    const number = i < 100 ? i % 20 : 7;
    expect(String((await response(conn))[1])).toBe(`file ${number}`.repeat(number + 1));
  }
  await sending;
});

withServer("a file of six million bytes, by every kind of receive", async () => {
  const kinds: Record<string, (conn: Socket, head: Head) => Promise<Uint8Array>> = {
    recv: async (conn) => {
      const parts: Buffer[] = [];
      for (let left = LARGE; left > 0; left -= parts.at(-1)!.length) parts.push(await conn.recv(left));
      return Buffer.concat(parts);
    },
    recvInto: (conn) => fillFrom(conn, Buffer.alloc(LARGE)),
    recvmsgInto: async (conn) => {
      const whole = Buffer.alloc(LARGE);
      for (let at = 0; at < LARGE;) {
        const views = [whole.subarray(at, at + 1000), whole.subarray(at + 1000)];
        at += (await conn.recvmsgInto(views))[0];
      }
      return whole;
    },
    "for await": async (conn) => Buffer.concat(await Array.fromAsync(conn.chunks({ size: 100_000 }))),
    readable: async (conn) => new Response(conn.readable).bytes(),
    "readable, BYOB": async (conn) => {
      const reader = conn.readable.getReader({ mode: "byob" });
      const parts: Uint8Array[] = [];
      for (;;) {
        const { value, done } = await reader.read(new Uint8Array(50_000));
        if (done) return Buffer.concat(parts);
        parts.push(value);
      }
    },
  };
  for (const [kind, receive] of Object.entries(kinds)) {
    using conn = await connected();
    await conn.sendall(request("GET", "/large", "Connection: close"));
    const said = await head(conn);
    const data = await receive(conn, said!);
    expect([kind, data.length, large.equals(data)]).toEqual([kind, LARGE, true]);
    expect((await conn.recv(1)).length).toBe(0);
  }
});

withServer("50,000 lines", async () => {
  using conn = await connected();
  await conn.sendall(request("GET", "/text", "Connection: close"));
  await head(conn);
  let at = 0;
  for await (const line of conn.lines()) if (line === `${words}${at}`) at++;
  expect(at).toBe(50_000);
});

withServer("chunks, whose length nobody knew before", async () => {
  using conn = await connected();
  for (let i = 0; i < 3; i++) {
    await conn.sendall(request("GET", "/packed", "Accept-Encoding: gzip"));
    const [status, data, { fields }] = await response(conn);
    expect([status, fields.get("transfer-encoding"), fields.get("content-encoding")]).toEqual([200, "chunked", "gzip"]);
    expect(gunzipSync(data).toString() === text).toBe(true);
  }
});

withServer("a slow upload, and a large one by sendfile", async () => {
  using conn = await connected();
  const expected = large.subarray(0, 20_000);
  await conn.sendall(request("PUT", "/uploads/slow", `Content-Length: ${expected.length}`));
  for (let at = 0; at < expected.length; at += 1000) {
    await conn.sendall(expected.subarray(at, at + 1000));
    await Bun.sleep(3);
  }
  expect((await response(conn))[0]).toBe(201);
  expect(readFileSync(folder.file("www/uploads/slow")).equals(expected)).toBe(true);

  await conn.sendall(request("PUT", "/uploads/large", `Content-Length: ${LARGE}`));
  expect(await conn.sendfile(folder.file("www/large"))).toBe(LARGE);
  expect((await response(conn))[0]).toBe(201);
  expect(readFileSync(folder.file("www/uploads/large")).equals(large)).toBe(true);
});

withServer("a slow POST in chunks, and a large one, that nginx passes on to a server of ours", async () => {
  using conn = await connected();
  await conn.sendall(request("POST", "/behind", "Transfer-Encoding: chunked"));
  let expected = "";
  for (let i = 0; i < 30; i++) {
    const chunk = `chunk ${i};`;
    await conn.sendall(`${chunk.length.toString(16)}\r\n${chunk}\r\n`);
    expected += chunk;
    await Bun.sleep(2);
  }
  await conn.sendall("0\r\n\r\n");
  const [status, data, { fields }] = await response(conn);
  expect([status, fields.get("transfer-encoding"), String(data)]).toEqual([200, "chunked", expected]);

  await conn.sendall(request("POST", "/behind", `Content-Length: ${LARGE}`));
  await conn.sendall(large);
  expect((await response(conn))[1].equals(large)).toBe(true);
});

withServer("by a Unix socket, too", async () => {
  using conn = new Socket(AF_UNIX);
  await conn.connect(folder.file("socket"));
  await conn.sendall(request("GET", "/large"));
  expect((await response(conn))[1].equals(large)).toBe(true);
});

withServer(
  "500 connections at once, 5 requests on each, some of them through nginx to this process",
  async () => {
    const before = socketCount();
    let answered = 0;
    await Promise.all(
      Array.from({ length: 500 }, async (_, i) => {
        using conn = await connected();
        for (let round = 0; round < 5; round++) {
          const number = (i + round) % 20;
          const expected = `file ${number}`.repeat(number + 1);
          const isBehind = i % 10 === 0;
          if (isBehind)
            await conn.sendmsg([request("POST", "/behind", `Content-Length: ${expected.length}`), expected]);
          else await conn.sendall(request("GET", `/small${number}`));
          const [status, data] = await response(conn);
          expect([status, String(data)]).toEqual([200, expected]);
          answered++;
        }
      }),
    );
    expect(answered).toBe(2500);
    // What nginx had open to the server behind ends with it.
    expect(socketCount()).toBeLessThan(before + 60);
  },
  60_000 * slowness,
);

withServer("what is given up in the middle of a body leaves nothing", async () => {
  for (let i = 0; i < 20; i++) {
    using conn = await connected();
    await conn.sendall(request("GET", "/large"));
    await head(conn);
    const given = new AbortController();
    const into = Buffer.alloc(LARGE);
    let at = 0;
    const receiving = (async () => {
      while (at < LARGE) at += await conn.recvInto(into.subarray(at), undefined, { signal: given.signal });
    })();
    setTimeout(() => given.abort(new Error("mine")), i % 5);
    const outcome = await receiving.then(
      () => "all",
      (error: Error) => error.message,
    );
    expect(["all", "mine"]).toContain(outcome);
    // The next receive goes on where the last ended.
    await fillFrom(conn, into.subarray(at));
    expect(into.equals(large)).toBe(true);
  }
});
