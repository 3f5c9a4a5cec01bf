/* bcryptprimitives.dll for Wine before 9, which has none: the one function of it that Bun calls. */
__declspec(dllimport) unsigned char SystemFunction036(void *out, unsigned long length); /* RtlGenRandom */

__declspec(dllexport) int ProcessPrng(unsigned char *out, unsigned long long length) {
  while (length > 0) {
    unsigned long part = length < 0x10000000 ? (unsigned long)length : 0x10000000;
    if (!SystemFunction036(out, part)) return 0;
    out += part;
    length -= part;
  }
  return 1;
}

int _DllMainCRTStartup(void *module, unsigned long reason, void *reserved) {
  (void)module, (void)reason, (void)reserved;
  return 1;
}
