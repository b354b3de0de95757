"""uWebSockets' core by way of socketify: each line of standard input goes to one topic, and
every client has subscribed to it.

    fan_out_socketify.py PORT [CERTIFICATE KEY]
"""

import os
import sys

from lines import Lines
from socketify import App, AppListenOptions, AppOptions, CompressOptions, OpCode

TOPIC = "signals"


def main(port: int, certificate: str = "", key: str = "") -> None:
    secured = AppOptions(cert_file_name=certificate, key_file_name=key) if key else None
    app = App(secured)
    app.ws(
        "/*",
        {
            "compression": CompressOptions.DISABLED,
            "idle_timeout": 0,  # clients only listen
            "open": lambda client: client.subscribe(TOPIC),
        },
    )
    lines = Lines()
    events = app.loop.loop  # asyncio's, which socketify turns together with its own

    def readable() -> None:
        data = os.read(0, 1 << 16)
        if not data:
            events.remove_reader(0)
        for line in lines.of(data):
            app.publish(TOPIC, line, OpCode.TEXT)

    events.add_reader(0, readable)
    app.listen(AppListenOptions(port=port, host="127.0.0.1"), lambda _: None)
    app.run()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
