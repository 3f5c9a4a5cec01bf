/**
 * AF_TIPC: addresses by name, by range and by id, scopes, every type of socket, the topology service, and the same between
 * two nodes in networks of their own.
 *
 * Peers: CPython, another node in a network namespace.
 */
import { afterEach, expect, setDefaultTimeout } from "bun:test";
import {
  AF_TIPC,
  MSG_TRUNC,
  OSError,
  SHUT_RDWR,
  SOCK_DGRAM,
  SOCK_RDM,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  Socket,
  socketpair,
  SOL_TIPC,
  TIPC_ADDR_ID,
  TIPC_ADDR_MCAST,
  TIPC_ADDR_NAME,
  TIPC_ADDR_NAMESEQ,
  TIPC_CLUSTER_SCOPE,
  TIPC_CONN_TIMEOUT,
  TIPC_CRITICAL_IMPORTANCE,
  TIPC_DEST_DROPPABLE,
  TIPC_DESTNAME,
  TIPC_ERR_NO_PORT,
  TIPC_ERRINFO,
  TIPC_HIGH_IMPORTANCE,
  TIPC_IMPORTANCE,
  TIPC_LOW_IMPORTANCE,
  TIPC_NODE_SCOPE,
  TIPC_PUBLISHED,
  TIPC_RETDATA,
  TIPC_SOCK_RECVQ_DEPTH,
  TIPC_SRC_DROPPABLE,
  TIPC_SUB_CANCEL,
  TIPC_SUB_PORTS,
  TIPC_SUB_SERVICE,
  TIPC_SUBSCR_TIMEOUT,
  TIPC_TOP_SRV,
  TIPC_WAIT_FOREVER,
  TIPC_WITHDRAWN,
  TIPC_ZONE_SCOPE,
  type TipcAddress,
  type TipcAddressLike,
} from "../../src/index.ts";
import {
  codeOf,
  Folder,
  isRoot,
  needs,
  python,
  pythonPeer,
  script,
  slowness,
  Sockets,
  thrown,
  works,
} from "../help.ts";
import { Program } from "../program.ts";
import { command } from "../tools/help.ts";

setDefaultTimeout(30_000 * slowness);

const hasTipc = AF_TIPC !== undefined && works(() => new Socket(AF_TIPC, SOCK_RDM));
const tipc = needs("AF_TIPC", hasTipc);

afterEach(async () => {
  for (const program of Program.running) await program.kill();
});

/** How long what is not expected may take to come, in seconds. */
const QUIET = 0.05 * slowness;

/** A type of service that no other test has, above those that are reserved. */
let types = 0x4000_0000 + (process.pid % 0x1_0000) * 256;
const newType = (): number => types++;

function open(own: Sockets, type: number = SOCK_RDM): Socket<"AF_TIPC"> {
  const sock = own.add(new Socket(AF_TIPC, type));
  sock.settimeout(5 * slowness);
  return sock;
}

function bound(own: Sockets, address: TipcAddressLike, type: number = SOCK_RDM): Socket<"AF_TIPC"> {
  const sock = open(own, type);
  sock.bind(address);
  return sock;
}

const expectQuiet = (sock: Socket): void => {
  sock.settimeout(QUIET);
  expect(codeOf(() => sock.recv(100))).toBe("ETIMEDOUT");
  sock.settimeout(5 * slowness);
};

tipc("a socket's own address is an id", () => {
  using own = new Sockets();
  const [sock, other] = [open(own), open(own)];
  const [kind, node, ref, third] = sock.getsockname();
  expect([kind, third]).toEqual([TIPC_ADDR_ID, 0]);
  expect(ref).toBeGreaterThan(0);
  expect(other.getsockname()[1]).toBe(node);
  expect(other.getsockname()[2]).not.toBe(ref);
  expect(codeOf(() => sock.getpeername())).toBe("ENOTCONN");
  const type = newType();
  sock.bind([TIPC_ADDR_NAMESEQ, type, 1, 5]);
  expect(sock.getsockname()).toEqual([TIPC_ADDR_ID, node, ref, 0, sock.getsockname()[4]]); // names are not its address
});

tipc(
  "a name may be one instance or a range of them, with a scope or without, and is withdrawn by a negative one",
  () => {
    using own = new Sockets();
    const [type, sender] = [newType(), open(own)];
    const reach = (instance: number): string =>
      codeOf(() => sender.sendto("x", [TIPC_ADDR_NAME, type, instance, 0])).replace(/^nothing thrown.*/, "sent");
    expect(reach(1)).toBe("EHOSTUNREACH");
    const one = bound(own, [TIPC_ADDR_NAME, type, 1, 0, TIPC_NODE_SCOPE]);
    const range = bound(own, [TIPC_ADDR_NAMESEQ, type, 10, 0xffff_fff0, TIPC_ZONE_SCOPE]);
    expect([1, 2, 9, 10, 1000, 0xffff_fff0, 0xffff_fff1].map(reach)).toEqual([
      ...["sent", "EHOSTUNREACH", "EHOSTUNREACH", "sent", "sent", "sent", "EHOSTUNREACH"],
    ]);
    expect([one.recv(10), range.recv(10), range.recv(10), range.recv(10)].map(String)).toEqual(["x", "x", "x", "x"]);
    range.bind([TIPC_ADDR_NAMESEQ, type, 10, 0xffff_fff0, -TIPC_ZONE_SCOPE]);
    expect(reach(10)).toBe("EHOSTUNREACH");
    one.bind([TIPC_ADDR_NAMESEQ, type, 20, 20]); // one socket may have several names
    expect([reach(1), reach(20)]).toEqual(["sent", "sent"]);
    const refused: [TipcAddressLike, string][] = [
      [[TIPC_ADDR_NAMESEQ, type, 5, 4], "EINVAL"], // upside down
      [[TIPC_ADDR_ID, 0, 1, 0], "EAFNOSUPPORT"],
      [[TIPC_ADDR_NAME, TIPC_TOP_SRV, 1, 0], "EACCES"], // reserved
    ];
    for (const [address, code] of refused) {
      const error = thrown(() => open(own).bind(address));
      expect([address, error.code, error.address as unknown]).toEqual([address, code, address]);
    }
  },
);

tipc("what is no address is refused before any call", () => {
  using own = new Sockets();
  const [sock, type] = [open(own), newType()];
  for (const [address, error] of [
    [undefined, /^address: /],
    ["name", /^address: /],
    [[], /^address: /],
    [[TIPC_ADDR_NAME, type, 1], /^address: /],
    [[TIPC_ADDR_NAME, type, 1, 0, 1, 1], /^address: /],
    [["2", type, 1, 0], /^address\[0\]: /],
    [[0, type, 1, 0], /^address\[0\]: /],
    [[4, type, 1, 0], /^address\[0\]: /],
    [[TIPC_ADDR_NAME, 1n, 1, 0], /^address\[1\]: /],
    [[TIPC_ADDR_NAME, type, -1, 0], /^address\[2\]: /],
    [[TIPC_ADDR_NAME, type, 2 ** 32, 0], /^address\[2\]: /],
    [[TIPC_ADDR_NAME, type, 1, 0.5], /^address\[3\]: /],
    [[TIPC_ADDR_NAME, type, 1, 0, null], /^address\[4\]: /],
    [[TIPC_ADDR_NAME, type, 1, 0, 128], /^address\[4\]: /],
  ] as const) {
    const wrong = address as unknown as TipcAddress;
    for (const call of [() => sock.bind(wrong), () => sock.connect(wrong), () => sock.sendto("x", wrong)]) {
      expect(call).toThrow(error);
      expect(call).not.toThrow(OSError);
    }
  }
});

tipc.each(["SOCK_RDM", "SOCK_DGRAM"] as const)("%s: by name there, by id back", (name) => {
  using own = new Sockets();
  const [kind, type] = [{ SOCK_RDM, SOCK_DGRAM }[name], newType()];
  const [server, client] = [bound(own, [TIPC_ADDR_NAMESEQ, type, 0, 99], kind), open(own, kind)];
  client.sendto("by name", [TIPC_ADDR_NAME, type, 17, 0, TIPC_CLUSTER_SCOPE]);
  const [data, ancdata, flags, from] = server.recvmsg(100, 200);
  expect([data.toString(), flags & MSG_TRUNC, from]).toEqual(["by name", 0, client.getsockname()]);
  // By what name it came: the type, and the instances, from the lowest to the highest.
  expect(ancdata).toEqual([[SOL_TIPC, TIPC_DESTNAME, Buffer.from(Uint32Array.of(type, 17, 17).buffer)]]);
  server.sendto("by id", from);
  expect(client.recvfrom(100)).toEqual([Buffer.from("by id"), server.getsockname()]);
  client.connect([TIPC_ADDR_NAME, type, 18, 0]); // where send goes from now on
  client.send("connected");
  expect(server.recv(100).toString()).toBe("connected");
  const long = Buffer.alloc(60_000, "long");
  client.sendmsg([long.subarray(0, 10), long.subarray(10)]);
  expect(server.recv(66_000).equals(long)).toBe(true);
  expect(codeOf(() => client.send(Buffer.alloc(66_001)))).toBe("EMSGSIZE");
});

tipc("a range as the destination is everybody in it", () => {
  using own = new Sockets();
  const type = newType();
  const [one, two, outside] = [1, 2, 9].map((instance) => bound(own, [TIPC_ADDR_NAME, type, instance, 0]));
  expect(TIPC_ADDR_MCAST).toBe(TIPC_ADDR_NAMESEQ);
  const sender = open(own);
  sender.sendto("to all", [TIPC_ADDR_MCAST, type, 0, 5]);
  for (const sock of [one, two]) expect(sock!.recvfrom(100)).toEqual([Buffer.from("to all"), sender.getsockname()]);
  expectQuiet(outside!);
});

tipc("a message that cannot be delivered comes back with the reason, unless it may be dropped", () => {
  using own = new Sockets();
  const [sender, gone] = [open(own), new Socket(AF_TIPC, SOCK_RDM)];
  const nobody = gone.getsockname();
  gone.close();
  expect(sender.getsockopt(SOL_TIPC, TIPC_DEST_DROPPABLE)).toBe(1);
  sender.sendto("dropped", nobody);
  expectQuiet(sender);
  sender.setsockopt(SOL_TIPC, TIPC_DEST_DROPPABLE, 0);
  sender.sendto("lost", nobody);
  const [data, ancdata] = sender.recvmsg(100, 200);
  expect(data).toHaveLength(0);
  expect(ancdata.map(([level, kind]) => [level, kind])).toEqual([
    [SOL_TIPC, TIPC_ERRINFO],
    [SOL_TIPC, TIPC_RETDATA],
  ]);
  expect(ancdata[0]![2]).toEqual(Buffer.from(Uint32Array.of(TIPC_ERR_NO_PORT, 4).buffer)); // and its length
  expect(ancdata[1]![2].toString()).toBe("lost");
});

tipc.each(["SOCK_STREAM", "SOCK_SEQPACKET"] as const)("%s: a connection to a name", (name) => {
  using own = new Sockets();
  const [kind, type] = [{ SOCK_STREAM, SOCK_SEQPACKET }[name], newType()];
  const server = bound(own, [TIPC_ADDR_NAME, type, 7, 0], kind);
  server.listen();
  const client = open(own, kind);
  client.setblocking(false);
  expect(codeOf(() => client.connect([TIPC_ADDR_NAME, type, 7, 0]))).toBe("EINPROGRESS"); // until it is accepted
  const [conn, from] = server.accept();
  client.settimeout(5 * slowness);
  own.add(conn).settimeout(5 * slowness);
  expect(from).toEqual(client.getsockname());
  expect(conn.getpeername()).toEqual(client.getsockname());
  expect(client.getpeername()).toEqual(conn.getsockname());
  expect(client.getpeername()[0]).toBe(TIPC_ADDR_ID);
  client.send("one ");
  client.send("two");
  if (kind === SOCK_SEQPACKET) expect([conn.recv(100), conn.recv(100)].map(String)).toEqual(["one ", "two"]);
  else expect(Buffer.concat([conn.recv(4), conn.recv(100)]).toString()).toBe("one two");
  const long = Buffer.alloc(50_000, "back ");
  conn.sendall(long);
  let length = 0;
  while (length < long.length) length += client.recv(66_000).length;
  expect(length).toBe(long.length);
  conn.shutdown(SHUT_RDWR);
  expect(client.recv(10)).toHaveLength(0);
  expect(codeOf(() => client.send("x"))).toBe("EPIPE");
  // Who connects with an address of nobody is told at once.
  expect(codeOf(() => open(own, kind).connect([TIPC_ADDR_NAME, type, 8, 0]))).toBe("EHOSTUNREACH");
});

tipc("a pair of sockets is connected", () => {
  using own = new Sockets();
  const [a, b] = socketpair(AF_TIPC, SOCK_SEQPACKET);
  own.add(a).settimeout(5 * slowness);
  own.add(b).settimeout(5 * slowness);
  a.send("to the other");
  expect(b.recv(100).toString()).toBe("to the other");
  expect([a.getpeername(), b.getpeername()]).toEqual([b.getsockname(), a.getsockname()]);
});

tipc("options of the level SOL_TIPC", () => {
  using own = new Sockets();
  const type = newType();
  const [sock, stream] = [bound(own, [TIPC_ADDR_NAME, type, 1, 0]), open(own, SOCK_STREAM)];
  const both = (on: Socket, option: number, value: number): number => {
    on.setsockopt(SOL_TIPC, option, value);
    return on.getsockopt(SOL_TIPC, option);
  };
  expect(sock.getsockopt(SOL_TIPC, TIPC_IMPORTANCE)).toBe(TIPC_LOW_IMPORTANCE);
  expect(both(sock, TIPC_IMPORTANCE, TIPC_HIGH_IMPORTANCE)).toBe(TIPC_HIGH_IMPORTANCE);
  expect(codeOf(() => sock.setsockopt(SOL_TIPC, TIPC_IMPORTANCE, TIPC_CRITICAL_IMPORTANCE + 1))).toBe("EINVAL");
  expect(both(stream, TIPC_CONN_TIMEOUT, 1500)).toBe(1500); // milliseconds
  expect(both(sock, TIPC_SRC_DROPPABLE, 1)).toBe(1);
  expect(codeOf(() => stream.setsockopt(SOL_TIPC, TIPC_SRC_DROPPABLE, 1))).toBe("ENOPROTOOPT"); // a stream drops nothing
  open(own).sendto("waits", [TIPC_ADDR_NAME, type, 1, 0]);
  expect(sock.getsockopt(SOL_TIPC, TIPC_SOCK_RECVQ_DEPTH)).toBe(1);
});

/** `struct tipc_subscr`: the service's type and range, a time in milliseconds, what is asked, a handle of one's own. */
function subscription(type: number, lower: number, upper: number, timeout: number, filter: number): Buffer {
  return Buffer.concat([
    Buffer.from(Uint32Array.of(type, lower, upper, timeout, filter).buffer),
    Buffer.from("myhandle"),
  ]);
}

/** `struct tipc_event`: what happened, the range that was found, the socket's reference and node, the subscription. */
function event(sock: Socket): { what: number; found: number[]; ref: number; node: number; handle: string } {
  const data = sock.recv(100);
  expect(data).toHaveLength(48);
  const [what, lower, upper, ref, node] = [0, 4, 8, 12, 16].map((at) => data.readUInt32LE(at)) as [
    ...[number, number, number, number, number],
  ];
  return { what, found: [lower, upper], ref, node, handle: data.toString("latin1", 40) };
}

tipc("the topology service tells who comes and goes", () => {
  using own = new Sockets();
  const [type, there] = [newType(), newType()];
  bound(own, [TIPC_ADDR_NAME, there, 1, 0]);
  /** The service works in the background: what it was asked before is done when it tells of somebody who is there. */
  const settle = (sock: Socket): void => {
    sock.send(subscription(there, 1, 1, TIPC_WAIT_FOREVER, TIPC_SUB_PORTS));
    expect(event(sock)).toMatchObject({ what: TIPC_PUBLISHED, found: [1, 1] });
  };
  const subscriber = (timeout: number, filter: number): Socket<"AF_TIPC"> => {
    const sock = open(own, SOCK_SEQPACKET);
    sock.connect([TIPC_ADDR_NAME, TIPC_TOP_SRV, TIPC_TOP_SRV, 0]);
    sock.send(subscription(type, 10, 20, timeout, filter));
    return sock;
  };
  const ports = subscriber(TIPC_WAIT_FOREVER, TIPC_SUB_PORTS);
  const service = subscriber(TIPC_WAIT_FOREVER, TIPC_SUB_SERVICE);
  settle(ports);
  settle(service);
  const first = bound(own, [TIPC_ADDR_NAMESEQ, type, 5, 12]);
  const second = bound(own, [TIPC_ADDR_NAME, type, 11, 0]);
  bound(own, [TIPC_ADDR_NAME, type, 21, 0]); // outside
  const [, node, ref] = first.getsockname();
  const published = { what: TIPC_PUBLISHED, node, handle: "myhandle" };
  expect(event(ports)).toEqual({ ...published, found: [5, 12], ref });
  expect(event(ports)).toEqual({ ...published, found: [11, 11], ref: second.getsockname()[2] });
  const third = bound(own, [TIPC_ADDR_NAMESEQ, type, 5, 12]);
  expect(event(ports)).toEqual({ ...published, found: [5, 12], ref: third.getsockname()[2] });
  for (const found of [
    [5, 12],
    [11, 11],
  ]) {
    expect(event(service)).toMatchObject({ ...published, found });
  }
  first.close(); // the other one has its names still
  second.close();
  expect(event(ports)).toMatchObject({ what: TIPC_WITHDRAWN, found: [5, 12], ref });
  expect(event(ports)).toMatchObject({ what: TIPC_WITHDRAWN, found: [11, 11] });
  expect(event(service)).toMatchObject({ what: TIPC_WITHDRAWN, found: [11, 11] });
  third.close();
  expect(event(ports)).toMatchObject({ what: TIPC_WITHDRAWN, found: [5, 12] });
  expect(event(service)).toMatchObject({ what: TIPC_WITHDRAWN, found: [5, 12] });
  ports.send(subscription(type, 10, 20, TIPC_WAIT_FOREVER, TIPC_SUB_PORTS | TIPC_SUB_CANCEL));
  settle(ports);
  bound(own, [TIPC_ADDR_NAME, type, 15, 0]);
  expect(event(service)).toMatchObject({ what: TIPC_PUBLISHED, found: [15, 15] });
  expectQuiet(ports);
  expect(event(subscriber(1, TIPC_SUB_SERVICE)).what).toBe(TIPC_PUBLISHED); // who is there already, first of all
  const waiting = open(own, SOCK_SEQPACKET);
  waiting.connect([TIPC_ADDR_NAME, TIPC_TOP_SRV, TIPC_TOP_SRV, 0]);
  waiting.send(subscription(newType(), 0, 0, 20, TIPC_SUB_SERVICE));
  expect(event(waiting).what).toBe(TIPC_SUBSCR_TIMEOUT);
});

needs("AF_TIPC with python3", hasTipc && python !== null)("CPython: the same addresses and errors", async () => {
  using own = new Sockets();
  const type = newType();
  const server = bound(own, [TIPC_ADDR_NAMESEQ, type, 1, 10]);
  using child = pythonPeer(
    `
t = int(sys.argv[1])
def new(): return socket.socket(socket.AF_TIPC, socket.SOCK_RDM)
s = new()
s.bind((socket.TIPC_ADDR_NAMESEQ, t, 20, 30, socket.TIPC_NODE_SCOPE))
s.sendto(b"from python", (socket.TIPC_ADDR_NAME, t, 5, 0))
data, address = s.recvfrom(100)
print(data.decode(), address, s.getsockname())
for call in [lambda: new().bind((socket.TIPC_ADDR_NAMESEQ, t, 5, 4)), lambda: new().bind((socket.TIPC_ADDR_NAME, 1, 1, 0)),
             lambda: s.sendto(b"x", (socket.TIPC_ADDR_NAME, t, 99, 0)), s.getpeername,
             lambda: new().bind((socket.TIPC_ADDR_ID, 0, 1, 0))]:
    try: print(call())
    except OSError as e: print(e.errno)`,
    [type],
  );
  server.settimeout(30 * slowness);
  const [data, from] = server.recvfrom(100);
  expect(data.toString()).toBe("from python");
  const sender = open(own);
  sender.sendto("to python", [TIPC_ADDR_NAME, type, 25, 0]);
  const errors = [
    () => open(own).bind([TIPC_ADDR_NAMESEQ, type, 5, 4]),
    () => open(own).bind([TIPC_ADDR_NAME, 1, 1, 0]),
    () => sender.sendto("x", [TIPC_ADDR_NAME, type, 99, 0]),
    () => sender.getpeername(),
    () => open(own).bind([TIPC_ADDR_ID, 0, 1, 0]),
  ].map((call) => String(thrown(call).errno));
  const tuple = (address: TipcAddress) => `(${address.join(", ")})`;
  expect((await child.output()).split("\n")).toEqual([
    `to python ${tuple(sender.getsockname())} ${tuple(from)}`,
    ...errors,
  ]);
});

// Two nodes: a cable between two networks, and the protocol's own way of finding each other on it.

const tools = ["ip", "tipc", "unshare"].every((tool) => Bun.which(tool) !== null);
needs("AF_TIPC with root, ip, tipc and unshare", hasTipc && isRoot && tools)(
  "two nodes: a name of the cluster is reached from the other node, by every type of socket, and told by its topology service",
  async () => {
    const type = newType();
    const server = script(
      (net, type) => {
        const bound = (kind: number, instance: number, scope = net.TIPC_CLUSTER_SCOPE) => {
          const sock = new net.Socket(net.AF_TIPC, kind);
          sock.settimeout(100);
          sock.bind([net.TIPC_ADDR_NAME, type, instance, 0, scope]);
          return sock;
        };
        const onNode = bound(net.SOCK_RDM, 2, net.TIPC_NODE_SCOPE);
        const listening = [bound(net.SOCK_STREAM, 3), bound(net.SOCK_SEQPACKET, 4)];
        for (const sock of listening) sock.listen();
        const answering = [bound(net.SOCK_RDM, 1), bound(net.SOCK_DGRAM, 5)];
        const from = answering.map((sock) => {
          const [data, from] = sock.recvfrom(100);
          sock.sendto(`answer to ${data}`, from);
          return from;
        });
        const peers = listening.map((sock) => {
          const [conn, peer] = sock.accept();
          conn.settimeout(100);
          const came = [String(conn.recv(100))];
          while (came.join("") !== "one two") came.push(String(conn.recv(100)));
          conn.sendall(`back ${sock.type === net.SOCK_SEQPACKET ? came.join("|") : came.join("")}`);
          conn.recv(1); // until the other end closes
          conn.close();
          return peer;
        });
        console.log(JSON.stringify({ from, peers, self: answering.map((sock) => sock.getsockname()) }));
        for (const sock of [onNode, ...answering, ...listening]) sock.close();
      },
      [type],
    );
    const client = script(
      (net, type) => {
        const open = (kind: number) => {
          const sock = new net.Socket(net.AF_TIPC, kind);
          sock.settimeout(100);
          return sock;
        };
        using topology = open(net.SOCK_SEQPACKET);
        topology.connect([net.TIPC_ADDR_NAME, net.TIPC_TOP_SRV, net.TIPC_TOP_SRV, 0]);
        const asked = Uint32Array.of(type, 0, 9, net.TIPC_WAIT_FOREVER, net.TIPC_SUB_PORTS, 0, 0);
        topology.send(asked);
        const events = (count: number) =>
          Array.from({ length: count }, () => {
            const event = topology.recv(100);
            return [0, 4, 16].map((at) => event.readUInt32LE(at));
          });
        const came = events(4); // the other node is known soon after the links are up: its names, a little later
        const exchanged = [net.SOCK_RDM, net.SOCK_DGRAM].map((kind, i) => {
          using sock = open(kind);
          sock.sendto("question", [net.TIPC_ADDR_NAME, type, [1, 5][i]!, 0]);
          const [data, from] = sock.recvfrom(100);
          return { data: String(data), from, self: sock.getsockname() };
        });
        let hidden = "";
        try {
          using sock = open(net.SOCK_RDM);
          sock.sendto("x", [net.TIPC_ADDR_NAME, type, 2, 0]);
        } catch (error) {
          hidden = (error as { code: string }).code;
        }
        const connections = [net.SOCK_STREAM, net.SOCK_SEQPACKET].map((kind, i) => {
          using conn = open(kind);
          conn.connect([net.TIPC_ADDR_NAME, type, 3 + i, 0]);
          conn.send("one ");
          conn.send("two");
          const answer = String(conn.recv(100));
          const self = conn.getsockname();
          conn.shutdown(net.SHUT_RDWR);
          return { answer, self };
        });
        console.log(JSON.stringify({ exchanged, hidden, connections, came, went: events(4) }));
      },
      [type],
    );
    // The second network is that of a child; both are gone with their processes.
    const both = `
      set -e
      node() { tipc node set identity $1; ip link set $2 up; tipc bearer enable media eth device $2; }
      mkfifo "$0/ready" "$0/cable"
      unshare -n sh -c 'echo > "$0/ready"; read line < "$0/cable"
        tipc node set identity two; ip link set v2 up; tipc bearer enable media eth device v2
        "$1" -e "$2"' "$0" "$1" "$2" &
      other=$!
      read line < "$0/ready"
      ip link add v1 type veth peer name v2 netns $other
      echo > "$0/cable"
      node one v1
      "$1" -e "$3"
      wait $other`;
    using folder = new Folder();
    const command = ["unshare", "-n", "sh", "-c", both, folder.path, process.execPath, server, client];
    const { stdout, stderr, status } = await new Program(command).end();
    expect([stderr, status]).toEqual(["", 0]);
    interface Answered {
      from: TipcAddress[];
      peers: TipcAddress[];
      self: TipcAddress[];
    }
    interface Asked {
      exchanged: { data: string; from: TipcAddress; self: TipcAddress }[];
      hidden: string;
      connections: { answer: string; self: TipcAddress }[];
      came: number[][];
      went: number[][];
    }
    const [one, two] = stdout.split("\n").map((line) => JSON.parse(line)) as [Answered | Asked, Answered | Asked];
    const [asked, answered] = ("exchanged" in one ? [one, two] : [two, one]) as [Asked, Answered];
    expect(asked.hidden).toBe("EHOSTUNREACH");
    const answers = answered.self.map((from, i) => ({ data: "answer to question", from, self: answered.from[i] }));
    expect(asked.exchanged as unknown[]).toEqual(answers);
    const [here, there] = [asked.exchanged[0]!.self[1], answered.self[0]![1]];
    expect(here).not.toBe(there); // two nodes
    expect(asked.connections.map(({ answer }) => answer)).toEqual(["back one two", "back one |two"]);
    expect(answered.peers).toEqual(asked.connections.map(({ self }) => self));
    const told = (what: number) => [1, 3, 4, 5].map((instance) => [what, instance, there]);
    const sorted = (events: number[][]) => events.toSorted(([, a], [, b]) => a! - b!);
    expect(sorted(asked.came)).toEqual(told(TIPC_PUBLISHED));
    expect(sorted(asked.went)).toEqual(told(TIPC_WITHDRAWN));
  },
);

// The example

const example = (...args: (string | number)[]) => new Program(command("tipc-service.ts", ...args.map(String)));

tipc("examples/tipc-service.ts: a service, one that asks it, and one that watches", async () => {
  const type = newType();
  const watcher = example("watch", type);
  await watcher.line(/^watching \d+$/);
  const server = example("serve", type, 7);
  await server.line(new RegExp(`^serving ${type}:7$`));
  const [port] = await watcher.line(new RegExp(`^${type}:7 came: node [0-9a-f]+, port (\\d+)$`));
  for (const [text, answer] of [
    ["hello", "HELLO"],
    ["grüß dich", "GRÜSS DICH"],
  ] as const) {
    expect(await example("ask", type, 7, text).end()).toEqual({ status: 0, stdout: answer, stderr: "" });
    await server.line(new RegExp(`^${Buffer.byteLength(text)} bytes from node [0-9a-f]+, port \\d+$`));
  }
  const nobody = await example("ask", type, 8, "hello").end();
  expect(nobody).toEqual({ status: 1, stdout: "", stderr: expect.stringMatching(/^sendto EHOSTUNREACH /) });
  await server.kill();
  await watcher.line(new RegExp(`^${type}:7 went: node [0-9a-f]+, port ${port}$`));
  {
    using own = new Sockets();
    bound(own, [TIPC_ADDR_NAMESEQ, type, 10, 20]);
    await watcher.line(new RegExp(`^${type}:10-20 came`));
  }
  await watcher.line(new RegExp(`^${type}:10-20 went`));
});

needs("AF_TIPC with python3", hasTipc && python !== null)(
  "examples/tipc-service.ts: CPython asks it, and is asked by it",
  async () => {
    const type = newType();
    const server = example("serve", type, 1);
    await server.line(/^serving/);
    using child = pythonPeer(
      `
t = int(sys.argv[1])
s = socket.socket(socket.AF_TIPC, socket.SOCK_RDM)
s.bind((socket.TIPC_ADDR_NAME, t, 2, 0))
s.sendto(b"from python", (socket.TIPC_ADDR_NAME, t, 1, 0))
print(s.recv(100).decode(), flush=True)
data, address = s.recvfrom(100)
s.sendto(data[::-1], address)`,
      [type],
    );
    await server.line(/^11 bytes/); // it has its name by then
    expect((await example("ask", type, 2, "stressed").end()).stdout).toBe("desserts");
    expect(await child.output()).toBe("FROM PYTHON");
  },
);
