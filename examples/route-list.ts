/**
 * Prints the routes of this machine's main table, as `ip route` does: a question to the kernel by netlink, see
 * netlink(7) and rtnetlink(7).
 *
 *   bun examples/route-list.ts [-6]
 *
 * For Linux; nobody needs rights for it.
 */
import {
  AF_INET,
  AF_INET6,
  AF_NETLINK,
  if_indextoname,
  inet_ntop,
  NETLINK_ROUTE,
  OSError,
  SOCK_RAW,
  Socket,
} from "berkeley-sockets";
import {
  NLM_F_DUMP,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_MAIN,
  RTA_DST,
  RTA_GATEWAY,
  RTA_MULTIPATH,
  RTA_OIF,
  RTA_PREF,
  RTA_PREFSRC,
  RTA_PRIORITY,
  RTA_TABLE,
  RTA_VIA,
  RTM_GETROUTE,
  RTM_NEWROUTE,
} from "berkeley-sockets/constants";

const types = [
  "none",
  "",
  "local",
  "broadcast",
  "anycast",
  "multicast",
  "blackhole",
  "unreachable",
  "prohibit",
  "throw",
];
const scopes = new Map([
  [RT_SCOPE_HOST, "host"],
  [RT_SCOPE_LINK, "link"],
]);
/** Who made a route, RTPROT_*. What was made by hand at run time, RTPROT_BOOT, is not told. */
const protocols = new Map([
  [1, "redirect"],
  [2, "kernel"],
  [4, "static"],
  [9, "ra"],
  [16, "dhcp"],
  [186, "bgp"],
  [188, "ospf"],
]);
const flagNames: [flag: number, name: string][] = [
  [1, "dead"],
  [4, "onlink"],
  [16, "linkdown"],
];
const preferences = ["medium", "high", "", "low"]; // RFC 4191

const align = (length: number): number => (length + 3) & ~3;

/** The attributes of a message: each is its length, its type, then a value, and begins at a multiple of 4. */
function attributesOf(data: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let at = 0; at + 4 <= data.length;) {
    const length = data.readUInt16LE(at);
    if (length < 4) break;
    found.set(data.readUInt16LE(at + 2), data.subarray(at + 4, at + length));
    at += align(length);
  }
  return found;
}

const flagsIn = (flags: number): string[] => flagNames.filter(([flag]) => flags & flag).map(([, name]) => name);

/** `via` and `dev`, of a route or of one of its next hops. */
function wayOf(attributes: Map<number, Buffer>, family: number, device: number | undefined): string[] {
  const gateway = attributes.get(RTA_GATEWAY);
  const other = attributes.get(RTA_VIA); // of the other family: its number, then the address
  return [
    ...(gateway === undefined ? [] : ["via", inet_ntop(family, gateway)]),
    ...(other === undefined ? [] : ["via", "inet6", inet_ntop(other.readUInt16LE(), other.subarray(2))]),
    ...(device === undefined ? [] : ["dev", if_indextoname(device)]),
  ];
}

/** The ways of a route that has several: `struct rtnexthop`, each with attributes of its own. */
function* waysOf(data: Buffer, family: number): Generator<string> {
  for (let at = 0; at + 8 <= data.length;) {
    const length = data.readUInt16LE(at);
    if (length < 8) return;
    const way = wayOf(attributesOf(data.subarray(at + 8, at + length)), family, data.readInt32LE(at + 4));
    yield `\n\tnexthop ${[...way, "weight", data[at + 3]! + 1, ...flagsIn(data[at + 2]!)].join(" ")}`;
    at += align(length);
  }
}

/** A route in a line, or null where it stands in another table: `struct rtmsg`, then attributes. */
function describe(message: Buffer, family: number): string | null {
  const [, length, , tos, shortTable, protocol, scope, type] = message as unknown as number[];
  const attributes = attributesOf(message.subarray(12));
  const number = (attribute: number): number | undefined => attributes.get(attribute)?.readUInt32LE();
  if ((number(RTA_TABLE) ?? shortTable) !== RT_TABLE_MAIN) return null;

  const bits = family === AF_INET6 ? 128 : 32;
  const to = attributes.get(RTA_DST);
  const address = to === undefined ? "default" : inet_ntop(family, to);
  const words = [types[type!] ?? type, to === undefined || length === bits ? address : `${address}/${length}`];
  if (tos !== 0) words.push("tos", `0x${tos!.toString(16).padStart(2, "0")}`);
  words.push(...wayOf(attributes, family, number(RTA_OIF)));
  if (protocol !== 3) words.push("proto", protocols.get(protocol!) ?? protocol);
  if (scope !== RT_SCOPE_UNIVERSE) words.push("scope", scopes.get(scope!) ?? scope);
  const source = attributes.get(RTA_PREFSRC);
  if (source !== undefined) words.push("src", inet_ntop(family, source));
  const metric = number(RTA_PRIORITY);
  if (metric !== undefined) words.push("metric", metric);
  words.push(...flagsIn(message.readUInt32LE(8)));
  const preference = attributes.get(RTA_PREF);
  if (preference !== undefined) words.push("pref", preferences[preference[0]!]);
  const ways = attributes.get(RTA_MULTIPATH);
  return words.filter((word) => word !== "").join(" ") + (ways === undefined ? "" : [...waysOf(ways, family)].join(""));
}

function* routes(family: number): Generator<string> {
  using sock = new Socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  sock.settimeout(5);
  // struct nlmsghdr: length, type, flags, sequence, port; then struct rtmsg, of which the family counts.
  const request = Buffer.alloc(28);
  request.writeUInt32LE(request.length, 0);
  request.writeUInt16LE(RTM_GETROUTE, 4);
  request.writeUInt16LE(NLM_F_REQUEST | NLM_F_DUMP, 6);
  request.writeUInt8(family, 16);
  sock.sendto(request, [0, 0]); // to the kernel
  for (;;) {
    const data = sock.recv(65536);
    for (let at = 0; at + 16 <= data.length; at += Math.max(align(data.readUInt32LE(at)), 16)) {
      const type = data.readUInt16LE(at + 4);
      if (type === NLMSG_DONE) return;
      if (type === NLMSG_ERROR) throw new Error(`the kernel refuses: error ${-data.readInt32LE(at + 16)}`);
      if (type !== RTM_NEWROUTE) continue;
      const line = describe(data.subarray(at + 16, at + data.readUInt32LE(at)), family);
      if (line !== null) yield line;
    }
  }
}

const args = process.argv.slice(2);
if (args.length > 1 || (args.length === 1 && args[0] !== "-6")) {
  console.error("usage: bun route-list.ts [-6]");
  process.exit(2);
}
try {
  for (const line of routes(args[0] === "-6" ? AF_INET6 : AF_INET)) console.log(line);
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  console.error(error.message);
  process.exit(1);
}
