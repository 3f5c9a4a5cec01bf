// The structures whose layout the address codecs know by heart, written in C with every field set, and the addresses that
// they mean. layouts.ts has compilers lay them out; codecs.test.ts compares.

import type { Platform } from "../../constants/by-hand.ts";

/** The headers of each platform that have them, and what those lack. */
export const preludes: Readonly<Record<Platform, string>> = {
  linux: `
    #define _GNU_SOURCE
    #include <stddef.h>
    #include <stdint.h>
    #include <sys/socket.h>
    #include <sys/un.h>
    #include <netinet/in.h>
    #include <netinet/tcp.h>
    #include <linux/netlink.h>
    #include <linux/can.h>
    #include <linux/if_alg.h>
    #include <linux/qrtr.h>
    #include <linux/tipc.h>
    #include <linux/vm_sockets.h>
    // BlueZ, lib/bluetooth.h, lib/l2cap.h, lib/rfcomm.h, lib/hci.h, lib/sco.h
    #define AF_BLUETOOTH 31
    typedef struct { uint8_t b[6]; } __attribute__((packed)) bdaddr_t;
    struct sockaddr_l2 {
      sa_family_t l2_family; unsigned short l2_psm; bdaddr_t l2_bdaddr; unsigned short l2_cid; uint8_t l2_bdaddr_type;
    };
    struct sockaddr_rc { sa_family_t rc_family; bdaddr_t rc_bdaddr; uint8_t rc_channel; };
    struct sockaddr_hci { sa_family_t hci_family; unsigned short hci_dev; unsigned short hci_channel; };
    struct sockaddr_sco { sa_family_t sco_family; bdaddr_t sco_bdaddr; };
    #define LEN(field, bytes)
    #define IP4(n) {BE32(n)}`,
  darwin: `
    #define __APPLE_USE_RFC_3542 1
    #include <stddef.h>
    #include <stdint.h>
    #include <sys/types.h>
    #include <sys/socket.h>
    #include <sys/un.h>
    #include <sys/ucred.h>
    #include <sys/ioctl.h>
    #include <sys/kern_control.h>
    #include <netinet/in.h>
    #include <netinet/tcp.h>
    #include <net/if_dl.h>
    #define AF_SYS_CONTROL 2 // Apple, XNU, bsd/sys/sys_domain.h
    #define IFT_ETHER 6
    #define LEN(field, bytes) .field = (bytes),
    #define IP4(n) {BE32(n)}`,
  win32: `
    #define _WIN32_WINNT 0x0A00
    #include <winsock2.h>
    #include <ws2tcpip.h>
    #include <mswsock.h>
    #include <afunix.h>
    #include <ws2bth.h>
    #include <hvsocket.h>
    #include <stddef.h>
    #include <stdint.h>
    #define AF_HYPERV 34 // Microsoft, Windows SDK, ws2def.h
    #define LEN(field, bytes)
    #define IP4(n) {.S_un = {.S_addr = BE32(n)}}
    #define cmsghdr _WSACMSGHDR
    #define CMSG_LEN WSA_CMSG_LEN
    #define CMSG_SPACE WSA_CMSG_SPACE`,
  freebsd: `
    #include <stddef.h>
    #include <stdint.h>
    #include <sys/types.h>
    #include <sys/param.h>
    #include <sys/socket.h>
    #include <sys/un.h>
    #include <sys/ucred.h>
    #include <netinet/in.h>
    #include <netinet/tcp.h>
    #include <net/if_dl.h>
    #include <net/if_types.h>
    #include <netlink/netlink.h>
    #include <sys/bitstring.h>
    #include <netgraph/ng_message.h>
    #include <netgraph/bluetooth/include/ng_hci.h>
    #include <netgraph/bluetooth/include/ng_l2cap.h>
    #define L2CAP_SOCKET_CHECKED
    #include <netgraph/bluetooth/include/ng_btsocket.h>
    #define LEN(field, bytes) .field = (bytes),
    #define IP4(n) {BE32(n)}`,
  netbsd: `
    #include <stddef.h>
    #include <stdint.h>
    #include <sys/types.h>
    #include <sys/param.h>
    #include <sys/socket.h>
    #include <sys/un.h>
    #include <netinet/in.h>
    #include <netinet/tcp.h>
    #include <net/if_dl.h>
    #include <net/if_types.h>
    #include <netbt/bluetooth.h>
    #define LEN(field, bytes) .field = (bytes),
    #define IP4(n) {BE32(n)}`,
};

/** A structure in C: its type, and what its fields are set to. */
type Initialised = readonly [type: string, fields: string];

/** An address as a codec takes and gives it, and the structures that are the same thing. */
export interface Vector {
  readonly name: string;
  readonly family: string;
  /** The protocol's constant, where addresses depend on it. */
  readonly proto?: string;
  readonly address: unknown;
  /** What comes back, where that is more than was given. */
  readonly decoded?: unknown;
  /** How many bytes of the structure are the name, where that is not all of them. */
  readonly length?: Partial<Record<Platform, number>>;
  /** How many bytes of the name are the address already, where the rest is for other protocols or for later. */
  readonly least?: number;
  readonly structures: Partial<Record<Platform, Initialised>>;
}

const everywhere = (type: string, fields: string): Record<Platform, Initialised> => {
  const structure: Initialised = [type, fields];
  return { linux: structure, darwin: structure, win32: structure, freebsd: structure, netbsd: structure };
};

const bytes = (text: string) =>
  text
    .split(":")
    .reverse()
    .map((byte) => `0x${byte}`)
    .join(", ");
const device = "01:23:45:67:89:AB";
const bdaddr = `{{${bytes(device)}}}`;
/** NetBSD's one structure. */
const bt = (fields: string): Initialised => [
  "struct sockaddr_bt",
  `.bt_len = sizeof(struct sockaddr_bt), .bt_family = AF_BLUETOOTH, .bt_bdaddr = ${bdaddr}, ${fields}`,
];
const bth = (port: string): Initialised => [
  "SOCKADDR_BTH",
  `.addressFamily = AF_BTH, .btAddr = 0x0123456789ABull, .port = ${port}`,
];

const path = "/run/demo.sock";

export const vectors: readonly Vector[] = [
  {
    name: "inet",
    family: "AF_INET",
    address: ["192.0.2.1", 8080],
    structures: everywhere(
      "struct sockaddr_in",
      "LEN(sin_len, sizeof(struct sockaddr_in)) .sin_family = AF_INET, .sin_port = BE16(8080), .sin_addr = IP4(0xc0000201)",
    ),
  },
  {
    name: "inet6",
    family: "AF_INET6",
    address: ["fe80::1234:5678:9abc:def0", 65535, 0xabcde, 7],
    structures: everywhere(
      "struct sockaddr_in6",
      `LEN(sin6_len, sizeof(struct sockaddr_in6)) .sin6_family = AF_INET6, .sin6_port = BE16(65535),
       .sin6_flowinfo = BE32(0xabcde), .sin6_scope_id = 7,
       .sin6_addr = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0}`,
    ),
  },
  {
    name: "unix",
    family: "AF_UNIX",
    address: path,
    // Windows takes the whole structure.
    length: Object.fromEntries(["linux", "darwin", "freebsd", "netbsd"].map((name) => [name, 2 + path.length])),
    structures: everywhere(
      "struct sockaddr_un",
      `LEN(sun_len, offsetof(struct sockaddr_un, sun_path) + ${path.length}) .sun_family = AF_UNIX, .sun_path = "${path}"`,
    ),
  },
  {
    name: "netlink",
    family: "AF_NETLINK",
    address: [4242, 0x8000_0001],
    structures: {
      linux: ["struct sockaddr_nl", ".nl_family = AF_NETLINK, .nl_pid = 4242, .nl_groups = 0x80000001"],
      freebsd: [
        "struct sockaddr_nl",
        ".nl_len = sizeof(struct sockaddr_nl), .nl_family = AF_NETLINK, .nl_pid = 4242, .nl_groups = 0x80000001",
      ],
    },
  },
  {
    name: "can",
    family: "AF_CAN",
    proto: "CAN_RAW",
    address: ["lo"], // the interface that every machine has, with the number 1
    least: 8,
    structures: { linux: ["struct sockaddr_can", ".can_family = AF_CAN, .can_ifindex = 1"] },
  },
  {
    name: "can_any",
    family: "AF_CAN",
    proto: "CAN_BCM",
    address: [""],
    least: 8,
    structures: { linux: ["struct sockaddr_can", ".can_family = AF_CAN"] },
  },
  {
    name: "isotp",
    family: "AF_CAN",
    proto: "CAN_ISOTP",
    address: ["lo", 0x123, 0x1234_5678 | 0x8000_0000], // as `| CAN_EFF_FLAG` makes it: negative
    decoded: ["lo", 0x123, 0x9234_5678],
    least: 16,
    structures: {
      linux: [
        "struct sockaddr_can",
        `.can_family = AF_CAN, .can_ifindex = 1,
         .can_addr = {.tp = {.rx_id = 0x123, .tx_id = 0x12345678 | CAN_EFF_FLAG}}`,
      ],
    },
  },
  {
    name: "j1939",
    family: "AF_CAN",
    proto: "CAN_J1939",
    address: ["lo", 0xfedc_ba98_7654_3210n, 0x3fff7, 0x80],
    least: 21,
    structures: {
      linux: [
        "struct sockaddr_can",
        `.can_family = AF_CAN, .can_ifindex = 1,
         .can_addr = {.j1939 = {.name = 0xfedcba9876543210ull, .pgn = 0x3fff7, .addr = 0x80}}`,
      ],
    },
  },
  {
    name: "j1939_name_of_a_number",
    family: "AF_CAN",
    proto: "CAN_J1939",
    address: ["", 5, 0, 0],
    decoded: ["", 5n, 0, 0],
    least: 21,
    structures: { linux: ["struct sockaddr_can", ".can_family = AF_CAN, .can_addr = {.j1939 = {.name = 5}}"] },
  },
  {
    name: "tipc_name",
    family: "AF_TIPC",
    address: [2, 0x89ab_cdef, 17, 99, 3], // the third number is not in the structure
    decoded: [2, 0x89ab_cdef, 17, 17, 3],
    structures: {
      linux: [
        "struct sockaddr_tipc",
        `.family = AF_TIPC, .addrtype = TIPC_ADDR_NAME, .scope = TIPC_NODE_SCOPE,
         .addr = {.name = {.name = {.type = 0x89abcdef, .instance = 17}}}`,
      ],
    },
  },
  {
    name: "tipc_sequence",
    family: "AF_TIPC",
    address: [1, 4242, 10, 0xffff_ffff],
    decoded: [1, 4242, 10, 0xffff_ffff, 2],
    structures: {
      linux: [
        "struct sockaddr_tipc",
        `.family = AF_TIPC, .addrtype = TIPC_ADDR_NAMESEQ, .scope = TIPC_CLUSTER_SCOPE,
         .addr = {.nameseq = {.type = 4242, .lower = 10, .upper = 0xffffffff}}`,
      ],
    },
  },
  {
    name: "tipc_id",
    family: "AF_TIPC",
    address: [3, 0x1001_0001, 0xfedc_ba98, 0, -3],
    structures: {
      linux: [
        "struct sockaddr_tipc",
        `.family = AF_TIPC, .addrtype = TIPC_ADDR_ID, .scope = -TIPC_NODE_SCOPE,
         .addr = {.id = {.ref = 0xfedcba98, .node = 0x10010001}}`,
      ],
    },
  },
  {
    name: "alg",
    family: "AF_ALG",
    address: ["skcipher", "cbc(aes)", 0x89ab_cdef, 0x1234],
    structures: {
      linux: [
        "struct sockaddr_alg",
        '.salg_family = AF_ALG, .salg_type = "skcipher", .salg_name = "cbc(aes)", .salg_feat = 0x89abcdef, .salg_mask = 0x1234',
      ],
    },
  },
  {
    name: "alg_longest",
    family: "AF_ALG",
    address: ["t".repeat(13), "n".repeat(63)],
    decoded: ["t".repeat(13), "n".repeat(63), 0, 0],
    structures: {
      linux: [
        "struct sockaddr_alg",
        `.salg_family = AF_ALG, .salg_type = "${"t".repeat(13)}", .salg_name = "${"n".repeat(63)}"`,
      ],
    },
  },
  {
    name: "vsock",
    family: "AF_VSOCK",
    address: [0xfedc_ba98, 0x89ab_cdef],
    least: 12,
    structures: {
      linux: ["struct sockaddr_vm", ".svm_family = AF_VSOCK, .svm_cid = 0xfedcba98, .svm_port = 0x89abcdef"],
    },
  },
  {
    name: "qipcrtr",
    family: "AF_QIPCRTR",
    address: [0xfedc_ba98, 0xffff_fffe],
    structures: {
      linux: ["struct sockaddr_qrtr", ".sq_family = AF_QIPCRTR, .sq_node = 0xfedcba98, .sq_port = QRTR_PORT_CTRL"],
    },
  },
  {
    name: "system",
    family: "AF_SYSTEM",
    proto: "SYSPROTO_CONTROL",
    address: [0xfedcba98, 3],
    structures: {
      darwin: [
        "struct sockaddr_ctl",
        `.sc_len = sizeof(struct sockaddr_ctl), .sc_family = AF_SYSTEM, .ss_sysaddr = AF_SYS_CONTROL,
         .sc_id = 0xfedcba98, .sc_unit = 3`,
      ],
    },
  },
  {
    name: "l2cap",
    family: "AF_BLUETOOTH",
    proto: "BTPROTO_L2CAP",
    address: [device, 0x1001, 0x1f, 2],
    structures: {
      linux: [
        "struct sockaddr_l2",
        `.l2_family = AF_BLUETOOTH, .l2_psm = 0x1001, .l2_bdaddr = ${bdaddr}, .l2_cid = 0x1f, .l2_bdaddr_type = 2`,
      ],
      freebsd: [
        "struct sockaddr_l2cap",
        `.l2cap_len = sizeof(struct sockaddr_l2cap), .l2cap_family = AF_BLUETOOTH, .l2cap_psm = 0x1001,
         .l2cap_bdaddr = ${bdaddr}, .l2cap_cid = 0x1f, .l2cap_bdaddr_type = 2`,
      ],
    },
  },
  {
    name: "l2cap_of_netbsd",
    family: "AF_BLUETOOTH",
    proto: "BTPROTO_L2CAP",
    address: [device, 0x1001, 0x1f],
    decoded: [device, 0x1001, 0x1f, 0],
    structures: { netbsd: bt(".bt_psm = 0x1001, .bt_channel = 0x1f") },
  },
  {
    name: "l2cap_short",
    family: "AF_BLUETOOTH",
    proto: "BTPROTO_L2CAP",
    address: [device.toLowerCase(), 1],
    decoded: [device, 1, 0, 0],
    structures: {
      linux: ["struct sockaddr_l2", `.l2_family = AF_BLUETOOTH, .l2_psm = 1, .l2_bdaddr = ${bdaddr}`],
      freebsd: [
        "struct sockaddr_l2cap",
        `.l2cap_len = sizeof(struct sockaddr_l2cap), .l2cap_family = AF_BLUETOOTH, .l2cap_psm = 1,
         .l2cap_bdaddr = ${bdaddr}`,
      ],
      netbsd: bt(".bt_psm = 1"),
    },
  },
  {
    name: "rfcomm",
    family: "AF_BLUETOOTH",
    proto: "BTPROTO_RFCOMM",
    address: [device, 30],
    structures: {
      linux: ["struct sockaddr_rc", `.rc_family = AF_BLUETOOTH, .rc_bdaddr = ${bdaddr}, .rc_channel = 30`],
      freebsd: [
        "struct sockaddr_rfcomm",
        `.rfcomm_len = sizeof(struct sockaddr_rfcomm), .rfcomm_family = AF_BLUETOOTH, .rfcomm_bdaddr = ${bdaddr},
         .rfcomm_channel = 30`,
      ],
      netbsd: bt(".bt_channel = 30"),
      win32: bth("30"),
    },
  },
  {
    name: "rfcomm_any",
    family: "AF_BLUETOOTH",
    proto: "BTPROTO_RFCOMM",
    address: [device, 0xffff_ffff],
    structures: { win32: bth("BT_PORT_ANY") },
  },
  {
    name: "hci",
    family: "AF_BLUETOOTH",
    proto: "BTPROTO_HCI",
    address: [0xabcd, 2],
    structures: {
      linux: ["struct sockaddr_hci", ".hci_family = AF_BLUETOOTH, .hci_dev = 0xabcd, .hci_channel = 2"],
    },
  },
  {
    name: "hci_short",
    family: "AF_BLUETOOTH",
    proto: "BTPROTO_HCI",
    address: [1],
    decoded: [1, 0],
    structures: { linux: ["struct sockaddr_hci", ".hci_family = AF_BLUETOOTH, .hci_dev = 1"] },
  },
  {
    name: "hci_node",
    family: "AF_BLUETOOTH",
    proto: "BTPROTO_HCI",
    address: "ubt0hci",
    structures: {
      freebsd: [
        "struct sockaddr_hci",
        `.hci_len = sizeof(struct sockaddr_hci), .hci_family = AF_BLUETOOTH, .hci_node = "ubt0hci"`,
      ],
    },
  },
  {
    name: "hci_device",
    family: "AF_BLUETOOTH",
    proto: "BTPROTO_HCI",
    address: device,
    structures: { netbsd: bt("") },
  },
  {
    name: "sco",
    family: "AF_BLUETOOTH",
    proto: "BTPROTO_SCO",
    address: device,
    structures: {
      linux: ["struct sockaddr_sco", `.sco_family = AF_BLUETOOTH, .sco_bdaddr = ${bdaddr}`],
      freebsd: [
        "struct sockaddr_sco",
        `.sco_len = sizeof(struct sockaddr_sco), .sco_family = AF_BLUETOOTH, .sco_bdaddr = ${bdaddr}`,
      ],
      netbsd: bt(""),
    },
  },
  {
    name: "hyperv",
    family: "AF_HYPERV",
    proto: "HV_PROTOCOL_RAW",
    address: ["A42E7CDA-D03F-480C-9CC2-A4DE20ABB878", "00000400-facb-11e6-bd58-64006a7986d3"],
    decoded: ["a42e7cda-d03f-480c-9cc2-a4de20abb878", "00000400-facb-11e6-bd58-64006a7986d3"],
    structures: {
      win32: [
        "SOCKADDR_HV",
        `.Family = AF_HYPERV,
         .VmId = {0xa42e7cda, 0xd03f, 0x480c, {0x9c, 0xc2, 0xa4, 0xde, 0x20, 0xab, 0xb8, 0x78}},
         .ServiceId = {0x00000400, 0xfacb, 0x11e6, {0xbd, 0x58, 0x64, 0x00, 0x6a, 0x79, 0x86, 0xd3}}`,
      ],
    },
  },
  {
    name: "divert",
    family: "AF_DIVERT",
    address: ["0.0.0.0", 8668],
    structures: {
      freebsd: [
        "struct sockaddr_in",
        ".sin_len = sizeof(struct sockaddr_in), .sin_family = AF_INET, .sin_port = BE16(8668)",
      ],
    },
  },
];

/** Structures that are no address of a socket. */
export const others: Readonly<Record<string, Partial<Record<Platform, Initialised>>>> = {
  link: {
    ...Object.fromEntries(
      ["darwin", "freebsd"].map((platform) => [
        platform,
        [
          "struct sockaddr_dl",
          `.sdl_len = sizeof(struct sockaddr_dl), .sdl_family = AF_LINK, .sdl_index = 0x102, .sdl_type = IFT_ETHER,
           .sdl_nlen = 3, .sdl_alen = 6, .sdl_data = "en0\\x02\\x00\\x00\\x5e\\x10\\x01"`,
        ],
      ]),
    ),
    netbsd: [
      "struct sockaddr_dl",
      `.sdl_len = sizeof(struct sockaddr_dl), .sdl_family = AF_LINK, .sdl_index = 0x102,
       .sdl_addr = {.dl_type = IFT_ETHER, .dl_nlen = 3, .dl_alen = 6, .dl_data = "en0\\x02\\x00\\x00\\x5e\\x10\\x01"}`,
    ],
  },
  ctl_info: {
    darwin: ["struct ctl_info", `.ctl_id = 0xfedcba98, .ctl_name = "com.apple.net.utun_control"`],
  },
};

const cmsg: readonly string[] = [
  "sizeof(struct cmsghdr)",
  ...[0, 1, 4, 5, 8, 12, 20].flatMap((length) => [`CMSG_LEN(${length})`, `CMSG_SPACE(${length})`]),
];
const fields = (type: string, names: string): string[] => [
  `sizeof(struct ${type})`,
  ...names.split(" ").map((name) => `offsetof(struct ${type}, ${name})`),
];

/** Sizes, offsets and constants of each platform, in C. */
export const numbers: Readonly<Record<Platform, readonly string[]>> = {
  linux: [
    ...cmsg,
    "sizeof(struct sockaddr_storage)",
    "sizeof(((struct sockaddr_un *)0)->sun_path)",
    ...fields("ucred", "pid uid gid"),
    "SO_PEERCRED",
    "SCM_CREDENTIALS",
  ],
  darwin: [
    ...cmsg,
    "sizeof(struct sockaddr_storage)",
    "sizeof(((struct sockaddr_un *)0)->sun_path)",
    ...fields("xucred", "cr_version cr_uid cr_ngroups cr_groups"),
    ...fields(
      "tcp_connection_info",
      `tcpi_state tcpi_snd_wscale tcpi_rcv_wscale tcpi_options tcpi_flags tcpi_rto tcpi_maxseg tcpi_snd_ssthresh
       tcpi_snd_cwnd tcpi_snd_wnd tcpi_snd_sbbytes tcpi_rcv_wnd tcpi_rttcur tcpi_srtt tcpi_rttvar tcpi_txpackets
       tcpi_txbytes tcpi_txretransmitbytes tcpi_rxpackets tcpi_rxbytes tcpi_rxoutoforderbytes
       tcpi_txretransmitpackets`.replace(/\s+/g, " "),
    ),
    "SOL_LOCAL",
    "LOCAL_PEERCRED",
    "LOCAL_PEERPID",
    "SCM_CREDS",
    "TCP_CONNECTION_INFO",
    "TCP_KEEPALIVE",
    "SO_NOSIGPIPE",
    "CTLIOCGINFO",
  ],
  win32: [...cmsg, "sizeof(struct sockaddr_storage)", "sizeof(((struct sockaddr_un *)0)->sun_path)", "TCP_KEEPALIVE"],
  freebsd: [
    ...cmsg,
    "sizeof(struct sockaddr_storage)",
    "sizeof(((struct sockaddr_un *)0)->sun_path)",
    ...fields("xucred", "cr_version cr_uid cr_ngroups cr_groups cr_pid"),
    ...fields("cmsgcred", "cmcred_pid cmcred_uid cmcred_euid cmcred_gid cmcred_ngroups cmcred_groups"),
    ...fields("sockcred", "sc_uid sc_euid sc_gid sc_egid sc_ngroups sc_groups"),
    ...fields("sockcred2", "sc_version sc_pid sc_uid sc_euid sc_gid sc_egid sc_ngroups sc_groups"),
    "SOL_LOCAL",
    "LOCAL_PEERCRED",
    "LOCAL_CREDS",
    "LOCAL_CREDS_PERSISTENT",
    "SCM_CREDS",
    "SCM_CREDS2",
    "SO_NOSIGPIPE",
  ],
  netbsd: [
    ...cmsg,
    "sizeof(struct sockaddr_storage)",
    "sizeof(((struct sockaddr_un *)0)->sun_path)",
    ...fields("sockcred", "sc_pid sc_uid sc_euid sc_gid sc_egid sc_ngroups sc_groups"),
    ...fields("unpcbid", "unp_pid unp_euid unp_egid"),
    "SOL_LOCAL",
    "LOCAL_CREDS",
    "LOCAL_PEEREID",
    "SCM_CREDS",
    "SO_NOSIGPIPE",
  ],
};
