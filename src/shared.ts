/**
 * What `berkeley-sockets` and `berkeley-sockets/promises` have in common: all that cannot wait, and the types. (The constants
 * stand in each of them: they are a module of their own in the package.)
 */
export type { AfalgOptions } from "./afalg.ts";
export type { BytesLike } from "./args.ts";
export {
  CMSG_LEN,
  CMSG_SPACE,
  htonl,
  htons,
  inet_aton,
  inet_ntoa,
  inet_ntop,
  inet_pton,
  ntohl,
  ntohs,
} from "./convert.ts";
export { close, dup, hasDualstackIPv6, hasIPv6, ioctl, type ServerOptions } from "./create.ts";
export {
  BlockingIOError,
  BrokenPipeError,
  ConnectionAbortedError,
  ConnectionRefusedError,
  ConnectionResetError,
  error,
  FileExistsError,
  FileNotFoundError,
  gaierror,
  herror,
  InterruptedError,
  OSError,
  type OSErrorDetails,
  PermissionError,
  timeout,
  TimeoutError,
} from "./errors.ts";
export type { AlgAddress, AlgAddressLike } from "./families/alg.ts";
export type {
  BluetoothAddress,
  BluetoothAddressLike,
  HciAddress,
  L2capAddress,
  RfcommAddress,
  ScoAddress,
} from "./families/bluetooth.ts";
export type { AnyCanAddress, AnyCanAddressLike, CanAddress, CanIsotpAddress, CanJ1939Address } from "./families/can.ts";
export type { HypervAddress } from "./families/hyperv.ts";
export type {
  Address,
  AddressArgument,
  AddressOf,
  AddressTypes,
  FamilyConstant,
  FamilyName,
  SenderOf,
  SenderTypes,
} from "./families/index.ts";
export type { InetAddress } from "./families/inet.ts";
export type { Inet6Address, Inet6AddressLike } from "./families/inet6.ts";
export { type LinkAddress, linkAddress } from "./families/link.ts";
export type { NetlinkAddress } from "./families/netlink.ts";
export type { OtherAddress } from "./families/other.ts";
export type { PacketAddress, PacketAddressLike } from "./families/packet.ts";
export type { QipcrtrAddress } from "./families/qipcrtr.ts";
export type { RdsAddress } from "./families/rds.ts";
export type { SystemAddress, SystemAddressLike } from "./families/system.ts";
export type { TipcAddress, TipcAddressLike } from "./families/tipc.ts";
export type { UnixAddress } from "./families/unix.ts";
export type { VsockAddress } from "./families/vsock.ts";
export { if_indextoname, if_nameindex, if_nametoindex } from "./interfaces.ts";
export type { AncillaryData, ReceivedAncillaryData } from "./message.ts";
export {
  type AddressInfoEntry,
  gethostname,
  getprotobyname,
  getservbyname,
  getservbyport,
  type HostEntry,
  type LookupOptions,
  sethostname,
} from "./names.ts";
export type { SendableFile } from "./sendfile.ts";
export { getdefaulttimeout, type KeepaliveValues, setdefaulttimeout } from "./socket.ts";
