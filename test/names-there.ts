/** What names.test.ts asks in a namespace with its own name server: the answers, and what failures say. */
import {
  AF_INET,
  AI_CANONNAME,
  getaddrinfo,
  getfqdn,
  gethostbyaddr,
  gethostbyname,
  gethostbyname_ex,
  gethostname,
  getnameinfo,
  NI_NAMEREQD,
  OSError,
  sethostname,
  SOCK_DGRAM,
  SOCK_STREAM,
  Socket,
} from "../src/index.ts";

function message(call: () => unknown): string {
  try {
    return `no failure: ${JSON.stringify(call())}`;
  } catch (error) {
    return error instanceof OSError ? `${error.name} ${error.errno}: ${error.message}` : String(error);
  }
}

export default function run(): Record<string, unknown> {
  using sock = new Socket(AF_INET, SOCK_DGRAM);
  const answers = {
    both: getaddrinfo("one.test", 80, { type: SOCK_STREAM }).map(([family, , , , [host]]) => [family, host]),
    canonical: getaddrinfo("alias.test", 80, { type: SOCK_STREAM, flags: AI_CANONNAME })[0]?.[3],
    idna: ["bücher.test", "BÜCHER.TEST", "xn--bcher-kva.test"].map((host) => gethostbyname(host)),
    many: gethostbyname_ex("many.test")[2].length,
    hosted: gethostbyname_ex("hosted.test"),
    reverse: gethostbyaddr("10.0.0.1"),
    reverse6: gethostbyaddr("fd00::1"),
    full: ["", "10.1.1.4", "nodots", "missing.test", "10.0.0.2"].map((name) => getfqdn(name)),
    named: getnameinfo(["10.0.0.1", 80], 0),
    failures: [
      message(() => getaddrinfo("missing.test", 80)),
      message(() => getaddrinfo("servfail.test", 80)),
      message(() => getaddrinfo("nodata.test", 80)),
      message(() => getaddrinfo("::1", 80, AF_INET)),
      message(() => getaddrinfo("bücher.missing.test", 80)),
      message(() => gethostbyname("missing.test")),
      message(() => gethostbyaddr("missing.test")),
      message(() => sock.connect(["missing.test", 9])),
      message(() => getnameinfo(["10.0.0.3", 80], NI_NAMEREQD)),
      message(() => getnameinfo(["10.0.0.4", 80], NI_NAMEREQD)),
      message(() => gethostbyaddr("10.0.0.3")),
      message(() => gethostbyaddr("10.0.0.4")),
      message(() => gethostbyaddr("10.0.0.5")),
      message(() => gethostbyname_ex("<broadcast>")),
    ],
  };
  const hostnames = [gethostname()];
  for (const name of ["second", Buffer.from("bytes"), "\udcff"]) {
    sethostname(name);
    hostnames.push(gethostname());
  }
  return { ...answers, hostnames };
}
