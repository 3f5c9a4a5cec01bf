// Preloaded before the library: makes the process say that it is another platform's. The constants and the codecs then are
// that platform's; the shim is this machine's, and only its functions that touch no socket are of use.

const [platform, arch] = (process.env["PRETEND"] ?? "").split("-");
if (platform === undefined || arch === undefined)
  throw new Error("PRETEND is a platform and an architecture: darwin-arm64");
Object.defineProperty(process, "platform", { value: platform });
Object.defineProperty(process, "arch", { value: arch });
