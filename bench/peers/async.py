"""What async.ts does, with asyncio: `async.py <workload> <bytes> <sockets> <ms>`. BUN and PEER run async.ts."""

import asyncio
import os
import sys
from time import perf_counter_ns as now

WORKLOAD, BYTES, SOCKETS, MS = sys.argv[1], *map(int, sys.argv[2:])
BURST = 24 if BYTES > 64 else 64  # as in watch.ts, and so is END
END = b"."


class Watch:
    """Counts until the time is over, which begins as long after the first."""

    def __init__(self):
        self.seen = 0
        self.began = 0
        self.is_warm = False
        self.nanoseconds = 0.0

    def count(self):
        self.seen += 1
        time = now()
        self.began = self.began or time + MS * 1_000_000
        if time < self.began:
            return True
        if not self.is_warm:
            self.is_warm, self.seen, self.began = True, 0, time
        if time < self.began + MS * 1_000_000:
            return True
        self.nanoseconds = (time - self.began) / self.seen
        return False


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, take):
        self.take = take

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.take(self.transport, address)


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def start_peer(ports):
    command = [os.environ["BUN"], os.environ["PEER"], "peer", *sys.argv[1:]]
    env = {**os.environ, "PORTS": ",".join(map(str, ports))}
    return await asyncio.create_subprocess_exec(*command, env=env, stdout=asyncio.subprocess.PIPE)


async def bound(take):
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Datagrams(take), local_addr=("127.0.0.1", 0))
    return transport


async def round_trips():
    end = asyncio.get_running_loop().create_future()
    watch = Watch()
    peer = await start_peer([0])
    to = ("127.0.0.1", int(await peer.stdout.readline()))

    def take(transport, _):
        if watch.count():
            transport.sendto(message, to)
        else:
            end.set_result(None)

    message = bytes(BYTES)
    transport = await bound(take)
    transport.sendto(message, to)
    await end
    transport.sendto(END, to)
    await peer.wait()
    return (watch.nanoseconds,)


async def packets():
    watch = Watch()
    received = 0
    is_over = False

    def take(transport, address):
        nonlocal received, is_over
        received += 1
        if received % BURST or is_over:
            return
        is_over = not watch.count()
        transport.sendto(END if is_over else b"go", address)

    transports = [await bound(take) for _ in range(SOCKETS)]
    peer = await start_peer([transport.get_extra_info("sockname")[1] for transport in transports])
    sent, _ = await peer.communicate()
    await asyncio.sleep(0.1)  # what is queued still comes
    for transport in transports:
        transport.close()
    return watch.nanoseconds / BURST, max(0, 1 - received / int(sent))


async def echo():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=1024)
    peer = await start_peer([server.sockets[0].getsockname()[1]])
    figure, _ = await peer.communicate()
    server.close()
    return (float(figure),)


if os.name == "posix":
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

workloads = {"udp round trips": round_trips, "udp packets": packets, "tcp echo": echo}
print(*asyncio.run(workloads[WORKLOAD]()))
