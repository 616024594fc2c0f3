"""The scripted server on a real socket of the loopback, in a thread, with real sleeps."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.measure.scripted_server import ScriptedServer


@contextmanager
def listening(server: ScriptedServer) -> Iterator[str]:
    """The server's address, while it answers."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(lambda reader, writer: answer(server, reader, writer), "127.0.0.1", 0)

    listener = asyncio.run_coroutine_threadsafe(start(), loop).result(5)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        asyncio.run_coroutine_threadsafe(stop(listener), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


async def stop(listener: asyncio.Server) -> None:
    listener.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def answer(server: ScriptedServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Requests of one connection, one after the other."""
    try:
        while line := await reader.readline():
            method, path, _ = line.decode().split()
            headers = {}
            while (field := await reader.readline()).strip():
                name, _, value = field.decode().partition(":")
                headers[name.strip().lower()] = value.strip()
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            made = await server.handle_async_request(
                httpx.Request(method, f"http://server{path}", headers=headers, content=body)
            )
            writer.write(b"HTTP/1.1 %d Told\r\nTransfer-Encoding: chunked\r\n\r\n" % made.status_code)
            assert isinstance(made.stream, httpx.AsyncByteStream)
            async for part in made.stream:
                writer.write(b"%x\r\n%s\r\n" % (len(part), part))
                await writer.drain()
            writer.write(b"0\r\n\r\n")
            await writer.drain()
    except (httpx.ReadError, ConnectionError, asyncio.IncompleteReadError):
        pass  # The script has the server die here, or the client has gone.
    finally:
        writer.close()
