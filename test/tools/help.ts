/** What the tests of the network tools share. */
import { join } from "node:path";
import { needs } from "../help.ts";
import { lacking, type Network } from "../networks.ts";
import { Program } from "../program.ts";

/** The command that runs an example. */
export const command = (name: string, ...args: string[]): string[] => [
  process.execPath,
  join(import.meta.dir, "..", "..", "examples", name),
  ...args,
];

/** What a program wrote, once it has ended. */
export type Ended = Awaited<ReturnType<Program["end"]>>;

/** Runs an example. */
export const run = (name: string, ...args: string[]): Promise<Ended> => new Program(command(name, ...args)).end();

/** Runs an example in a network. */
export const runIn = (net: Network, name: string, ...args: string[]): Promise<Ended> =>
  net.inside(() => new Program(command(name, ...args))).end();

/** Ends what a test that failed has left. */
export async function endPrograms(): Promise<void> {
  for (const program of Program.running) await program.kill();
}

export const inNetwork = needs(lacking, lacking === "");

/** Gives an interface IPv6, and addresses. */
export function give(net: Network, ifname: string, ...addresses: string[]): void {
  const folder = `/proc/sys/net/ipv6/conf/${ifname}`;
  net.run("sh", "-c", `echo 0 > ${folder}/accept_dad; echo 0 > ${folder}/disable_ipv6`); // nobody else has the address
  for (const address of addresses)
    net.ip(`address add ${address} dev ${ifname}${address.includes(":") ? " nodad" : ""}`);
}

/** An address is found by others some time after it was added. */
export function settle(...nets: Network[]): void {
  while (nets.some((net) => net.ip("-6 address show tentative") !== "")) Bun.sleepSync(20);
}
