/**
 * Shows the frames on a CAN bus, as candump of can-utils does, CAN FD and errors too.
 *
 *   bun examples/candump.ts [-n <count>] <interface>[,<filter>…]      the interface `any` is all of them
 *
 * Filters are hexadecimal: `<id>:<mask>` shows the frames that have the bits of the mask as the identifier has them,
 * `<id>~<mask>` the others, `j` those that match all filters instead of one, and `#<mask>` errors of these classes. An
 * identifier of eight digits is one of 29 bits. For Linux; cansend.ts sends something to see. Ctrl-C ends it.
 *
 *   bun examples/candump.ts vcan0,123:7FF,400:700,#1FFFFFFF
 */
import {
  AF_CAN,
  CAN_EFF_FLAG,
  CAN_EFF_MASK,
  CAN_ERR_FLAG,
  CAN_INV_FILTER,
  CAN_RAW,
  CAN_RAW_ERR_FILTER,
  CAN_RAW_FD_FRAMES,
  CAN_RAW_FILTER,
  CAN_RAW_JOIN_FILTERS,
  CAN_RTR_FLAG,
  CAN_SFF_MASK,
  OSError,
  SOCK_RAW,
  Socket,
  SOL_CAN_RAW,
} from "berkeley-sockets";
import { can_filter, can_frame, type CanFilter, canfd_frame } from "berkeley-sockets/messages";

function usage(): never {
  console.error("usage: bun candump.ts [-n <count>] <interface>[,<id>:<mask>][,<id>~<mask>][,#<error mask>][,j]");
  process.exit(2);
}

const args = process.argv.slice(2);
const count = args[0] === "-n" ? Number(args.splice(0, 2)[1]) : Infinity;
const [ifname = "", ...filters] = args[0]?.split(",") ?? [];
const FILTER = /^(?:([\dA-F]{1,8})([:~])([\dA-F]{1,8})|#([\dA-F]{1,8})|j)$/i;
if (ifname === "" || args.length !== 1 || !(count > 0) || !filters.every((filter) => FILTER.test(filter))) usage();

function prepare(sock: Socket): void {
  const all: CanFilter[] = [];
  for (const filter of filters) {
    const [, name, kind, mask, errors] = FILTER.exec(filter)!;
    if (name !== undefined) {
      const wide = name.length === 8 ? CAN_EFF_FLAG : 0;
      const id = parseInt(name, 16) | wide | (kind === "~" ? CAN_INV_FILTER : 0);
      all.push({ id, mask: parseInt(mask!, 16) & ~CAN_ERR_FLAG }); // errors have a mask of their own
    } else if (errors !== undefined) {
      sock.setsockopt(SOL_CAN_RAW, CAN_RAW_ERR_FILTER, parseInt(errors, 16));
    } else {
      sock.setsockopt(SOL_CAN_RAW, CAN_RAW_JOIN_FILTERS, 1);
    }
  }
  if (all.length > 0) sock.setsockopt(SOL_CAN_RAW, CAN_RAW_FILTER, can_filter.encodeAll(all));
  sock.setsockopt(SOL_CAN_RAW, CAN_RAW_FD_FRAMES, 1);
}

/** A frame in one line. */
function describe(name: string, data: Buffer): string {
  const isFd = data.length === canfd_frame.size; // the two kinds are known by their length
  const frame = isFd ? canfd_frame.decode(data) : can_frame.decode(data);
  const isWide = (frame.id & (CAN_EFF_FLAG | CAN_ERR_FLAG)) !== 0;
  const id = isWide ? frame.id & (CAN_EFF_MASK | CAN_ERR_FLAG) : frame.id & CAN_SFF_MASK;
  const digits = id
    .toString(16)
    .toUpperCase()
    .padStart(isWide ? 8 : 3, "0")
    .padStart(8);
  const length = isFd ? `[${String(frame.data.length).padStart(2, "0")}]` : ` [${frame.data.length}]`;
  const bytes = frame.data.toString("hex").toUpperCase().replaceAll(/../g, " $&");
  const content = (frame.id & CAN_RTR_FLAG) !== 0 ? "  remote request" : bytes && ` ${bytes}`;
  const error = (frame.id & CAN_ERR_FLAG) !== 0 ? "   ERRORFRAME" : "";
  return `  ${name}  ${digits}  ${length} ${content}${error}`;
}

try {
  using sock = new Socket(AF_CAN, SOCK_RAW, CAN_RAW);
  prepare(sock);
  sock.bind([ifname === "any" ? "" : ifname]);
  for (let shown = 0; shown < count; shown++) {
    const [data, [name]] = sock.recvfrom(canfd_frame.size);
    console.log(describe(name, data));
  }
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  console.error(error.message);
  process.exit(1);
}
