/**
 * AF_HYPERV: between a Hyper-V host and its guests, on Windows. See
 * https://learn.microsoft.com/virtualization/hyper-v-on-windows/user-guide/make-integration-service
 */
import { wrongType, wrongValue } from "../args.ts";
import { AF_HYPERV } from "../constants.ts";
import { beginName, type Family, outView } from "./family.ts";

/**
 * A Hyper-V address: which machine, and which of its services; both as UUIDs.
 *
 * `vmId` may be one of the `HV_GUID_*`. UUIDs are taken in either case, and come in lower case. Windows only: what FreeBSD
 * has by this name is `[family, bytes]` here.
 */
export type HypervAddress = readonly [vmId: string, serviceId: string];

const LENGTH = 36; // sizeof(SOCKADDR_HV)
const VM_ID = 4;
const SERVICE_ID = 20;

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** The digits of a UUID. */
function digitsOf(value: unknown, name: string): string {
  if (typeof value !== "string") throw wrongType(name, "a UUID as a string", value);
  if (!uuid.test(value)) throw wrongValue(name, `a UUID such as "a42e7cda-d03f-480c-9cc2-a4de20abb878"`, value);
  return value.replaceAll("-", "");
}

/** Writes a GUID: its first three parts are numbers, in the byte order of the machine, the rest are bytes. */
function setGuid(at: number, digits: string): void {
  outView.setUint32(at, parseInt(digits.slice(0, 8), 16), true);
  outView.setUint16(at + 4, parseInt(digits.slice(8, 12), 16), true);
  outView.setUint16(at + 6, parseInt(digits.slice(12, 16), 16), true);
  for (let i = 8; i < 16; i++) outView.setUint8(at + i, parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}

function getGuid(view: DataView, at: number): string {
  const hex = (value: number, digits: number) => value.toString(16).padStart(digits, "0");
  const bytes = Array.from({ length: 8 }, (_, i) => hex(view.getUint8(at + 8 + i), 2));
  return [
    hex(view.getUint32(at, true), 8),
    hex(view.getUint16(at + 4, true), 4),
    hex(view.getUint16(at + 6, true), 4),
    bytes.slice(0, 2).join(""),
    bytes.slice(2).join(""),
  ].join("-");
}

export const hyperv: Family = {
  // FreeBSD's number of that name has another structure.
  family: process.platform === "win32" ? AF_HYPERV : undefined,

  encode(address) {
    if (!Array.isArray(address) || address.length !== 2) throw wrongType("address", "[vmId, serviceId]", address);
    const vmId = digitsOf(address[0], "address[0]");
    const serviceId = digitsOf(address[1], "address[1]");
    beginName(AF_HYPERV, LENGTH);
    setGuid(VM_ID, vmId);
    setGuid(SERVICE_ID, serviceId);
    return LENGTH;
  },

  decode(name, length) {
    if (length < LENGTH) return undefined;
    const view = new DataView(name.buffer, name.byteOffset);
    return [getGuid(view, VM_ID), getGuid(view, SERVICE_ID)] satisfies HypervAddress;
  },
};
