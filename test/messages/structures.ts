// Structures in C, with every member set, and the objects that they are. layouts.test.ts has each platform's compiler lay
// them out, and compares.

import type { Platform } from "../../constants/by-hand.ts";

/** What Zig calls the machines of a platform. */
export const targets: Readonly<Record<Platform, readonly string[]>> = {
  linux: ["x86_64-linux-gnu", "aarch64-linux-musl"],
  darwin: ["aarch64-macos"],
  win32: ["x86_64-windows-gnu"],
  freebsd: ["x86_64-freebsd"],
  netbsd: ["x86_64-netbsd"],
};

const unix = `
  #include <sys/types.h>
  #include <sys/socket.h>
  #include <sys/time.h>
  #include <netinet/in.h>`;
const bsd = `
  ${unix}
  #include <netinet/tcp.h>
  #define IN4(a, b, c, d) {a | b << 8 | c << 16 | (unsigned)d << 24}
  #define STORAGE(a, b, c, d) {.ss_len = 16, .ss_family = AF_INET, .__ss_pad1 = {0, 0, a, b, c, d}}`;

/** The headers of each platform that have them. */
export const preludes: Readonly<Record<Platform, string>> = {
  linux: `
    #define _GNU_SOURCE
    ${unix}
    #include <linux/tcp.h>
    #include <linux/can.h>
    #include <linux/can/bcm.h>
    #include <linux/can/isotp.h>
    #include <linux/can/j1939.h>
    #include <linux/errqueue.h>
    #include <linux/net_tstamp.h>
    #include <linux/if_packet.h>
    #define IN4(a, b, c, d) {a | b << 8 | c << 16 | (unsigned)d << 24}
    #define STORAGE(a, b, c, d) {.ss_family = AF_INET, .__ss_padding = {0, 0, a, b, c, d}}`,
  darwin: `
    #define __APPLE_USE_RFC_3542 1
    #include <sys/ucred.h>
    ${bsd}`,
  win32: `
    #define _WIN32_WINNT 0x0A00
    #include <winsock2.h>
    #include <ws2tcpip.h>
    #define IN4(a, b, c, d) {.S_un = {.S_un_b = {a, b, c, d}}}
    #define STORAGE(a, b, c, d) {.ss_family = AF_INET, .__ss_pad1 = {0, 0, a, b, c, d}}`,
  freebsd: `
    #include <sys/param.h>
    #include <sys/ucred.h>
    ${bsd}`,
  netbsd: bsd,
};

const everywhere: readonly Platform[] = ["linux", "darwin", "win32", "freebsd", "netbsd"];
const posix: readonly Platform[] = ["linux", "darwin", "freebsd", "netbsd"];
const linux: readonly Platform[] = ["linux"];

export interface Vector {
  readonly platforms: readonly Platform[];
  /** The type and its members in C. */
  readonly c: readonly [type: string, members: string];
  /** What `decode` gives, or the item of `decodeAncillary`. */
  readonly value: unknown;
  /** Where it is a control message: its level and its type. What `encode` has no need of is not there. */
  readonly ancillary?: readonly [level: string, type: string];
  /** It is only received. */
  readonly received?: boolean;
  /** The structure's export, where that is another name than in C. */
  readonly name?: string;
}

const numbered = (names: string, prefix = "", first = 1) =>
  names
    .trim()
    .split(/\s+/)
    .map((name, i) => `.${prefix}${name} = ${first + i}`)
    .join(", ");
const values = (names: string, first = 1) =>
  Object.fromEntries(
    names
      .trim()
      .split(/\s+/)
      .map((name, i) => [name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase()), first + i]),
  );

const oldTcp = `rto ato snd_mss rcv_mss unacked sacked lost retrans fackets last_data_sent last_ack_sent last_data_recv
  last_ack_recv pmtu rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss reordering rcv_rtt rcv_space`;
const newTcp = `total_retrans pacing_rate max_pacing_rate bytes_acked bytes_received segs_out segs_in notsent_bytes min_rtt
  data_segs_in data_segs_out delivery_rate busy_time rwnd_limited sndbuf_limited delivered delivered_ce bytes_sent
  bytes_retrans dsack_dups reord_seen rcv_ooopack snd_wnd rcv_wnd rehash total_rto total_rto_recoveries total_rto_time
  received_ce delivered_e1_bytes delivered_e0_bytes delivered_ce_bytes received_e1_bytes received_e0_bytes
  received_ce_bytes accecn_fail_mode accecn_opt_seen`;
/** What FreeBSD and NetBSD leave unset has another name there. */
const unsetTcp =
  /^(ato|unacked|sacked|lost|retrans|fackets|last_data_sent|last_ack_sent|last_ack_recv|pmtu|rcv_ssthresh|advmss|reordering|rcv_rtt)$/;
const bsdTcp = oldTcp.trim().split(/\s+/);
const darwinTcp = `options flags rto maxseg snd_ssthresh snd_cwnd snd_wnd snd_sbbytes rcv_wnd rttcur srtt rttvar`;
const darwinCounters = `txpackets txbytes txretransmitbytes rxpackets rxbytes rxoutoforderbytes txretransmitpackets`;

const address6 = "2001:db8::1:2";
const IN6 = "{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2}";
const ids = { pid: 4242, uid: 1001, gid: 4_000_000_000 };

export const vectors: readonly Vector[] = [
  { platforms: posix, c: ["struct timeval", ".tv_sec = 7, .tv_usec = 250000"], value: 7.25 },
  { platforms: ["win32"], c: ["unsigned long", "7250"], value: 7.25, name: "timeval" },
  { platforms: everywhere, c: ["struct linger", ".l_onoff = 1, .l_linger = 300"], value: { onoff: true, linger: 300 } },
  {
    platforms: everywhere,
    c: ["struct ip_mreq", ".imr_multiaddr = IN4(239, 1, 2, 3), .imr_interface = IN4(127, 0, 0, 1)"],
    value: { multiaddr: "239.1.2.3", interface: "127.0.0.1" },
  },
  {
    platforms: ["linux", "darwin", "freebsd"],
    c: ["struct ip_mreqn", ".imr_multiaddr = IN4(239,1,2,3), .imr_address = IN4(10,0,0,1), .imr_ifindex = 258"],
    value: { multiaddr: "239.1.2.3", address: "10.0.0.1", ifindex: 258 },
  },
  {
    platforms: ["linux", "darwin", "win32", "freebsd"],
    c: [
      "struct ip_mreq_source",
      ".imr_multiaddr = IN4(232,1,2,3), .imr_interface = IN4(10,0,0,1), .imr_sourceaddr = IN4(10,9,8,7)",
    ],
    value: { multiaddr: "232.1.2.3", interface: "10.0.0.1", sourceaddr: "10.9.8.7" },
  },
  {
    platforms: everywhere,
    c: ["struct ipv6_mreq", `.ipv6mr_multiaddr = ${IN6}, .ipv6mr_interface = 258`],
    value: { multiaddr: address6, interface: 258 },
  },
  {
    platforms: ["linux", "darwin", "win32", "freebsd"],
    c: ["struct group_req", ".gr_interface = 258, .gr_group = STORAGE(239, 1, 2, 3)"],
    value: { interface: 258, group: "239.1.2.3" },
  },
  {
    platforms: ["linux", "darwin", "win32", "freebsd"],
    c: [
      "struct group_source_req",
      ".gsr_interface = 2, .gsr_group = STORAGE(232,1,2,3), .gsr_source = STORAGE(10,9,8,7)",
    ],
    value: { interface: 2, group: "232.1.2.3", source: "10.9.8.7" },
  },
  {
    platforms: linux,
    c: ["struct packet_mreq", ".mr_ifindex = 258, .mr_type = 3, .mr_alen = 6, .mr_address = {1, 2, 3, 4, 5, 6}"],
    value: { ifindex: 258, type: 3, address: Buffer.from([1, 2, 3, 4, 5, 6]) },
  },
  { platforms: linux, c: ["struct ucred", ".pid = 4242, .uid = 1001, .gid = 4000000000"], value: ids },
  {
    platforms: ["darwin"],
    c: ["struct xucred", ".cr_version = 0, .cr_uid = 501, .cr_ngroups = 2, .cr_groups = {20, 4000000000}"],
    value: { version: 0, uid: 501, groups: [20, 4_000_000_000], pid: 0 },
  },
  {
    platforms: ["freebsd"],
    c: ["struct xucred", ".cr_version = 0, .cr_uid = 1001, .cr_ngroups = 2, .cr_groups = {20, 5}, .cr_pid = 4242"],
    value: { version: 0, uid: 1001, groups: [20, 5], pid: 4242 },
  },
  {
    platforms: linux,
    c: [
      "struct tcp_info",
      `${numbered("state ca_state retransmits probes backoff options", "tcpi_")}, .tcpi_snd_wscale = 7,
       .tcpi_rcv_wscale = 10, .tcpi_delivery_rate_app_limited = 1, .tcpi_fastopen_client_fail = 2,
       ${numbered(`${oldTcp} ${newTcp}`, "tcpi_", 100)}`,
    ],
    value: {
      ...values("state ca_state retransmits probes backoff options"),
      ...{ sndWscale: 7, rcvWscale: 10, deliveryRateAppLimited: true, fastopenClientFail: 2 },
      ...values(`${oldTcp} ${newTcp}`, 100),
    },
  },
  {
    platforms: ["freebsd", "netbsd"],
    received: true, // what lies behind is theirs
    c: [
      "struct tcp_info",
      `.tcpi_state = 4, .tcpi_options = 9, .tcpi_snd_wscale = 7, .tcpi_rcv_wscale = 10,
       ${bsdTcp.map((name, i) => `.${unsetTcp.test(name) ? "__" : ""}tcpi_${name} = ${100 + i}`).join(", ")}`,
    ],
    value: {
      ...{ state: 4, caState: 0, retransmits: 0, probes: 0, backoff: 0, options: 9 },
      ...{ sndWscale: 7, rcvWscale: 10, deliveryRateAppLimited: false, fastopenClientFail: 0 },
      ...values(oldTcp, 100),
    },
  },
  {
    platforms: ["darwin"],
    c: [
      "struct tcp_connection_info",
      `.tcpi_state = 4, .tcpi_snd_wscale = 7, .tcpi_rcv_wscale = 10, ${numbered(darwinTcp, "tcpi_", 100)},
       .tcpi_tfo_cookie_rcv = 1, .tcpi_tfo_onebyte_proxy = 1, ${numbered(darwinCounters, "tcpi_", 200)}`,
    ],
    value: {
      ...{ state: 4, sndWscale: 7, rcvWscale: 10 },
      ...values(darwinTcp, 100),
      tfo: 0x4002,
      ...values(darwinCounters, 200),
    },
  },

  {
    platforms: linux,
    c: ["struct can_frame", ".can_id = 0x81234567, .len = 3, .len8_dlc = 9, .data = {1, 2, 3}"],
    value: { id: 0x8123_4567, data: Buffer.from([1, 2, 3]), len8Dlc: 9 },
  },
  {
    platforms: linux,
    c: [
      "struct canfd_frame",
      ".can_id = 0x123, .len = 12, .flags = 3, .data = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}",
    ],
    value: { id: 0x123, data: Buffer.from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]), flags: 3 },
  },
  {
    platforms: linux,
    c: ["struct can_filter", ".can_id = 0x20000123, .can_mask = 0xc00007ff"],
    value: { id: 0x2000_0123, mask: 0xc000_07ff },
  },
  {
    platforms: linux,
    name: "bcm_msg_head",
    c: [
      "struct { struct bcm_msg_head head; struct can_frame frames[2]; }",
      `.head = {.opcode = TX_SETUP, .flags = 3, .count = 5, .ival1 = {1, 500000}, .ival2 = {0, 100000}, .can_id = 0x123,
       .nframes = 2}, .frames = {{.can_id = 0x123, .len = 1, .data = {9}}, {.can_id = 0x80000124, .len = 2, .data = {7, 8}}}`,
    ],
    value: {
      ...{ opcode: 1, flags: 3, count: 5, ival1: 1.5, ival2: 0.1, id: 0x123 },
      frames: [
        { id: 0x123, data: Buffer.from([9]), len8Dlc: 0 },
        { id: 0x8000_0124, data: Buffer.from([7, 8]), len8Dlc: 0 },
      ],
    },
  },
  {
    platforms: linux,
    name: "bcm_msg_head",
    c: [
      "struct { struct bcm_msg_head head; struct canfd_frame frames[1]; }",
      `.head = {.opcode = RX_SETUP, .flags = CAN_FD_FRAME, .can_id = 0x123, .nframes = 1},
       .frames = {{.can_id = 0x123, .len = 16, .flags = 1, .data = {[15] = 5}}}`,
    ],
    value: {
      ...{ opcode: 5, flags: 0x800, count: 0, ival1: 0, ival2: 0, id: 0x123 },
      frames: [{ id: 0x123, data: Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5]), flags: 1 }],
    },
  },
  {
    platforms: linux,
    c: [
      "struct can_isotp_options",
      `.flags = 0x82, .frame_txtime = 0xffffffff, .ext_address = 1, .txpad_content = 2, .rxpad_content = 3,
       .rx_ext_address = 4`,
    ],
    value: {
      ...{ flags: 0x82, frameTxtime: 0xffff_ffff },
      ...{ extAddress: 1, txpadContent: 2, rxpadContent: 3, rxExtAddress: 4 },
    },
  },
  {
    platforms: linux,
    c: ["struct can_isotp_fc_options", ".bs = 8, .stmin = 5, .wftmax = 2"],
    value: { bs: 8, stmin: 5, wftmax: 2 },
  },
  {
    platforms: linux,
    c: ["struct can_isotp_ll_options", ".mtu = 72, .tx_dl = 64, .tx_flags = 1"],
    value: { mtu: 72, txDl: 64, txFlags: 1 },
  },
  {
    platforms: linux,
    c: [
      "struct j1939_filter",
      `.name = 0xfedcba9876543210, .name_mask = 0xffffffffffffffff, .pgn = 0xfeca, .pgn_mask = 0x3ffff, .addr = 0x20,
       .addr_mask = 0xff`,
    ],
    value: {
      ...{ name: 0xfedc_ba98_7654_3210n, nameMask: 0xffff_ffff_ffff_ffffn },
      ...{ pgn: 0xfeca, pgnMask: 0x3ffff, addr: 0x20, addrMask: 0xff },
    },
  },

  {
    platforms: ["linux", "darwin"],
    ancillary: ["IPPROTO_IP", "IP_PKTINFO"],
    c: ["struct in_pktinfo", ".ipi_ifindex = 258, .ipi_spec_dst = IN4(10,0,0,1), .ipi_addr = IN4(239,1,2,3)"],
    value: { type: "pktinfo", ifindex: 258, specDst: "10.0.0.1", addr: "239.1.2.3" },
  },
  {
    platforms: ["win32", "netbsd"],
    ancillary: ["IPPROTO_IP", "IP_PKTINFO"],
    c: ["struct in_pktinfo", ".ipi_ifindex = 258, .ipi_addr = IN4(10,0,0,1)"],
    value: { type: "pktinfo", ifindex: 258, specDst: "10.0.0.1", addr: "10.0.0.1" },
  },
  {
    platforms: everywhere,
    ancillary: ["IPPROTO_IPV6", "IPV6_PKTINFO"],
    c: ["struct in6_pktinfo", `.ipi6_addr = ${IN6}, .ipi6_ifindex = 258`],
    value: { type: "pktinfo6", addr: address6, ifindex: 258 },
  },
  {
    platforms: ["freebsd", "netbsd"],
    ancillary: ["IPPROTO_IP", "IP_SENDSRCADDR"],
    c: ["struct in_addr", ".s_addr = 0x0100000a"],
    value: { type: "dstaddr", addr: "10.0.0.1" },
  },
  {
    platforms: linux,
    ancillary: ["SOL_SOCKET", "SCM_CREDENTIALS"],
    c: ["struct ucred", ".pid = 4242, .uid = 1001, .gid = 4000000000"],
    value: { type: "credentials", ...ids },
  },
  {
    platforms: ["freebsd"],
    received: true, // the kernel fills in what is sent
    ancillary: ["SOL_SOCKET", "SCM_CREDS"],
    c: [
      "struct cmsgcred",
      ".cmcred_pid = 7, .cmcred_uid = 1, .cmcred_euid = 2, .cmcred_gid = 3, .cmcred_ngroups = 2, .cmcred_groups = {4, 5}",
    ],
    value: { type: "credentials", pid: 7, uid: 1, euid: 2, gid: 3, groups: [4, 5] },
  },
  {
    platforms: ["freebsd"],
    received: true,
    ancillary: ["SOL_SOCKET", "SCM_CREDS"],
    c: ["struct sockcred", ".sc_uid = 1, .sc_euid = 2, .sc_gid = 3, .sc_egid = 4, .sc_ngroups = 1, .sc_groups = {5}"],
    value: { type: "credentials", pid: null, uid: 1, euid: 2, gid: 3, egid: 4, groups: [5] },
  },
  {
    platforms: ["freebsd"],
    received: true,
    ancillary: ["SOL_SOCKET", "SCM_CREDS2"],
    c: [
      "struct sockcred2",
      `.sc_version = 0, .sc_pid = 7, .sc_uid = 1, .sc_euid = 2, .sc_gid = 3, .sc_egid = 4, .sc_ngroups = 1,
       .sc_groups = {5}`,
    ],
    value: { type: "credentials", pid: 7, uid: 1, euid: 2, gid: 3, egid: 4, groups: [5] },
  },
  {
    platforms: ["netbsd"],
    received: true,
    ancillary: ["SOL_SOCKET", "SCM_CREDS"],
    c: [
      "struct sockcred",
      ".sc_pid = 7, .sc_uid = 1, .sc_euid = 2, .sc_gid = 3, .sc_egid = 4, .sc_ngroups = 1, .sc_groups = {5}",
    ],
    value: { type: "credentials", pid: 7, uid: 1, euid: 2, gid: 3, egid: 4, groups: [5] },
  },
  {
    platforms: posix,
    received: true,
    ancillary: ["SOL_SOCKET", "SCM_TIMESTAMP"],
    c: ["struct timeval", ".tv_sec = 1700000000, .tv_usec = 123456"],
    value: { type: "timestamp", time: { seconds: 1_700_000_000, nanoseconds: 123_456_000 } },
  },
  {
    platforms: linux,
    received: true,
    ancillary: ["SOL_SOCKET", "SCM_TIMESTAMPNS"],
    c: ["struct timespec", ".tv_sec = 1700000000, .tv_nsec = 123456789"],
    value: { type: "timestamp", time: { seconds: 1_700_000_000, nanoseconds: 123_456_789 } },
  },
  {
    platforms: ["freebsd"],
    received: true,
    ancillary: ["SOL_SOCKET", "SCM_BINTIME"],
    c: ["struct bintime", ".sec = 1700000000, .frac = 0xc000000000000000"],
    value: { type: "timestamp", time: { seconds: 1_700_000_000, nanoseconds: 750_000_000 } },
  },
  {
    platforms: linux,
    received: true,
    ancillary: ["SOL_SOCKET", "SCM_TIMESTAMPING"],
    c: ["struct scm_timestamping", ".ts = {{1700000000, 1}, {0, 2}, {3, 0}}"],
    value: {
      type: "timestamping",
      software: { seconds: 1_700_000_000, nanoseconds: 1 },
      legacy: { seconds: 0, nanoseconds: 2 },
      hardware: { seconds: 3, nanoseconds: 0 },
    },
  },
  {
    platforms: linux,
    received: true,
    ancillary: ["SOL_SOCKET", "SCM_TIMESTAMPING_PKTINFO"],
    c: ["struct scm_ts_pktinfo", ".if_index = 258, .pkt_length = 1500"],
    value: { type: "timestampingPktinfo", ifIndex: 258, pktLength: 1500 },
  },
  {
    platforms: linux,
    received: true,
    ancillary: ["IPPROTO_IP", "IP_RECVERR"],
    c: [
      "struct { struct sock_extended_err ee; struct sockaddr_in offender; }",
      `.ee = {.ee_errno = 111, .ee_origin = SO_EE_ORIGIN_ICMP, .ee_type = 3, .ee_code = 13, .ee_info = 5, .ee_data = 6},
       .offender = {.sin_family = AF_INET, .sin_addr = IN4(10,0,0,1)}`,
    ],
    value: {
      ...{ type: "error", errno: 111, code: "ECONNREFUSED", origin: 2, icmpType: 3, icmpCode: 13, info: 5, data: 6 },
      offender: ["10.0.0.1", 0],
    },
  },
  {
    platforms: linux,
    received: true,
    ancillary: ["SOL_PACKET", "PACKET_AUXDATA"],
    c: ["struct tpacket_auxdata", numbered("tp_status tp_len tp_snaplen tp_mac tp_net tp_vlan_tci tp_vlan_tpid")],
    value: { type: "auxdata", ...values("status len snaplen mac net vlan_tci vlan_tpid") },
  },
];
