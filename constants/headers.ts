// Which headers of which target have the constants of a platform. A unit is one C file; a platform has two where its
// headers cannot be read together. Values come from the first unit that has them.

import type { Platform } from "./by-hand.ts";

type Unit = { readonly targets: readonly string[]; readonly prelude: string; readonly headers: string };

// The headers every Unix has.
const unix = `
  stddef.h stdint.h errno.h limits.h poll.h netdb.h sys/types.h sys/param.h sys/time.h sys/socket.h sys/un.h sys/uio.h
  sys/ioctl.h net/if.h netinet/in.h netinet/in_systm.h netinet/ip.h netinet/tcp.h netinet/udp.h`;

const bsd = `
  ${unix} sys/filio.h sys/sockio.h net/bpf.h net/if_arp.h net/if_dl.h net/if_types.h net/route.h netinet/icmp6.h
  netinet/ip6.h netinet/ip_icmp.h netinet/sctp.h netinet/sctp_uio.h`;

// Linux's constants must be the same on both, so that one column serves them: the generator stops if they are not.
const linux = ["x86_64-linux-gnu", "aarch64-linux-gnu"];

export const units: Readonly<Record<Platform, readonly Unit[]>> = {
  linux: [
    {
      targets: linux,
      prelude: "#define _GNU_SOURCE",
      headers: `
        ${unix} net/ethernet.h net/if_arp.h netinet/icmp6.h netinet/ip_icmp.h
        linux/atm.h linux/caif/caif_socket.h linux/can.h linux/can/bcm.h linux/can/error.h linux/can/isotp.h
        linux/can/j1939.h linux/can/raw.h linux/errqueue.h linux/filter.h linux/genetlink.h linux/if_addr.h
        linux/if_alg.h linux/if_link.h linux/if_packet.h linux/if_pppox.h linux/if_xdp.h linux/inet_diag.h linux/kcm.h
        linux/l2tp.h linux/llc.h linux/mctp.h linux/mptcp.h linux/neighbour.h linux/net_tstamp.h
        linux/netfilter_ipv4.h linux/netfilter_ipv6/ip6_tables.h linux/netlink.h linux/nfc.h linux/phonet.h
        linux/qrtr.h linux/rds.h linux/rtnetlink.h linux/rxrpc.h linux/sctp.h linux/smc.h linux/sock_diag.h
        linux/sockios.h linux/tipc.h linux/tls.h linux/unix_diag.h linux/vm_sockets.h`,
    },
    {
      // What the C library defines as well, and therefore cannot be read with its headers.
      targets: linux,
      prelude: "",
      headers: `
        sys/types.h sys/ioctl.h sys/socket.h linux/if.h linux/in.h linux/in6.h linux/icmp.h linux/icmpv6.h linux/ip.h linux/ipv6.h
        linux/sockios.h linux/tcp.h linux/udp.h netatalk/at.h netax25/ax25.h netipx/ipx.h netrom/netrom.h netrose/rose.h`,
    },
  ],
  darwin: [
    {
      targets: ["x86_64-macos"],
      prelude: "#define __APPLE_USE_RFC_3542 1",
      headers: `
        ${unix} sys/filio.h sys/kern_control.h sys/sockio.h sys/ucred.h net/if_dl.h net/if_var.h net/net_kev.h
        net/route.h`,
    },
  ],
  win32: [
    {
      targets: ["x86_64-windows-gnu"],
      prelude: "#define _WIN32_WINNT 0x0A00\n#define NTDDI_VERSION 0x0A00000C",
      headers: `
        winsock2.h ws2tcpip.h ws2ipdef.h windows.h mswsock.h mstcpip.h afunix.h ws2bth.h bthdef.h hvsocket.h af_irda.h
        wsipx.h wsrm.h nldef.h ifdef.h`,
    },
  ],
  freebsd: [
    {
      targets: ["x86_64-freebsd"],
      prelude: "",
      headers: `
        ${bsd} sys/ucred.h net/ethernet.h netinet/udplite.h netlink/netlink.h netlink/netlink_route.h
        netlink/netlink_generic.h sys/bitstring.h netgraph/ng_message.h netgraph/bluetooth/include/ng_hci.h
        netgraph/bluetooth/include/ng_l2cap.h netgraph/bluetooth/include/ng_btsocket.h
        netgraph/bluetooth/include/ng_bluetooth.h`,
    },
  ],
  netbsd: [
    {
      targets: ["x86_64-netbsd"],
      prelude: "",
      headers: `
        ${bsd} net/ethertypes.h net/if_ether.h netcan/can.h netbt/bluetooth.h netbt/hci.h netbt/l2cap.h netbt/rfcomm.h
        netbt/sco.h`,
    },
  ],
};
