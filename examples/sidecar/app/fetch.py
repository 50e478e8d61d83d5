"""A request over HTTP/1.1 that can be cancelled and ends within its time.

It follows no redirect, since that could carry a token to another host, and it
uses no proxy of the environment."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11

from . import __version__


class HTTPError(Exception):
    """No answer: the text is one word for why, such as "refused" or "timeout"."""


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]  # lower-case names
    body: bytes


async def get(url: str, headers: dict[str, str], seconds: float, most: int = 512 * 1024) -> Response:
    """Fetches a URL, at most `most` bytes of it, in `seconds` all told."""
    return await send("GET", url, headers, b"", seconds, most)


async def post(url: str, headers: dict[str, str], body: bytes, seconds: float, most: int = 512 * 1024) -> Response:
    """Posts a body once. Where there is no answer, it is not known whether it arrived."""
    return await send("POST", url, {"Content-Length": str(len(body)), **headers}, body, seconds, most)


async def send(method: str, url: str, headers: dict[str, str], body: bytes, seconds: float, most: int) -> Response:
    try:
        async with asyncio.timeout(seconds):
            return await _send(method, url, headers, body, most)
    except TimeoutError:
        raise HTTPError("timeout") from None
    except ssl.SSLError:
        raise HTTPError("tls") from None
    except ConnectionRefusedError:
        raise HTTPError("refused") from None
    except socket.gaierror:
        raise HTTPError("dns") from None
    except (OSError, h11.RemoteProtocolError):
        raise HTTPError("connection") from None


async def _send(method: str, url: str, headers: dict[str, str], body: bytes, most: int) -> Response:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    reader, writer = await asyncio.open_connection(
        parts.hostname,
        parts.port or (443 if secure else 80),
        ssl=ssl.create_default_context() if secure else None,
    )
    try:
        connection = h11.Connection(h11.CLIENT)
        target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        all_headers = {
            "Host": parts.netloc.rpartition("@")[2],
            "User-Agent": f"acu-qa-automation/{__version__}",  # Canvas refuses requests without one
            "Accept": "application/json",
            "Connection": "close",
            **headers,
        }
        writer.write(connection.send(h11.Request(method=method, target=target, headers=list(all_headers.items()))))
        if body:
            writer.write(connection.send(h11.Data(data=body)))
        writer.write(connection.send(h11.EndOfMessage()))
        await writer.drain()
        return await _response(connection, reader, most)
    finally:
        writer.close()


async def _response(connection: h11.Connection, reader: asyncio.StreamReader, most: int) -> Response:
    status, headers, body = 0, {}, bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(64 * 1024))
        elif isinstance(event, h11.Response):
            status = event.status_code
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in event.headers}
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > most:
                raise HTTPError("too large")
        elif isinstance(event, h11.EndOfMessage):
            return Response(status, headers, bytes(body))
        elif not isinstance(event, h11.InformationalResponse):
            raise HTTPError("connection")
