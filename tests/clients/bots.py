"""A bot as the integration guide has it, on a thread, so that a test can look at it."""

import contextlib
import queue
import threading

import websocket

from running import DEADLINE


class Bot:
    """`websocket.WebSocketApp` with its callbacks' arguments kept for the test."""

    def __init__(self, url: str, token: str | None, ca: str) -> None:
        self.messages: queue.Queue[str] = queue.Queue()
        self.errors: queue.Queue[Exception] = queue.Queue()
        self._opened = threading.Event()
        self.app = websocket.WebSocketApp(
            url,
            header=[f"Authorization: Bearer {token}"] if token else [],
            on_open=lambda app: self._opened.set(),
            on_message=lambda app, message: self.messages.put(message),
            on_error=lambda app, error: self.errors.put(error),
        )
        self._thread = threading.Thread(
            target=self.app.run_forever,
            kwargs={"sslopt": {"ca_certs": ca}},
            daemon=True,
        )
        self._thread.start()

    def opened(self) -> "Bot":
        assert self._opened.wait(DEADLINE), f"not connected: {list(self.errors.queue)}"
        return self

    def message(self) -> str:
        try:
            return self.messages.get(timeout=DEADLINE)
        except queue.Empty:
            raise AssertionError(f"no message; {list(self.errors.queue)}") from None

    def error(self) -> Exception:
        try:
            return self.errors.get(timeout=DEADLINE)
        except queue.Empty:
            raise AssertionError("no error") from None

    def close(self) -> None:
        """Says goodbye and waits until run_forever has returned."""
        # Not app.close(): called from another thread it takes the server's answer away from
        # run_forever, which then notices only after ten seconds.
        connection = self.app.sock
        if connection is not None:
            with contextlib.suppress(OSError, websocket.WebSocketException):
                connection.send_close()
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive(), "run_forever did not return"
