"""Starts the server: `python3 -m app`, listening on HOST and PORT."""

import logging
import os
import sys

import uvicorn

from .main import create_app
from .settings import Settings, SettingsError


def main() -> None:
    # The access log is ours (main.py): uvicorn's would write query strings.
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as problems:
        sys.exit(f"the application does not start:\n{problems}")
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        ws="websockets",
        ws_max_size=64 * 1024,
        ws_ping_interval=20,
        ws_ping_timeout=20,
        timeout_keep_alive=5,
        server_header=False,
        access_log=False,
        log_config=None,
    )


if __name__ == "__main__":
    main()
