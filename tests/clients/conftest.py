"""What the tests are given: a server, bots, child processes; all ended when the test is over."""

from pathlib import Path

import pytest

from bots import Bot
from running import Child, Server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder, as on a first start."""
    return tmp_path


@pytest.fixture
def run(folder: Path):
    """Starts a program in the test's folder."""
    children: list[Child] = []

    def start(*command, **options) -> Child:
        children.append(Child(list(command), folder, **options))
        return children[-1]

    yield start
    for child in children:
        child.kill()
        print(child.story())  # pytest shows it when the test failed


@pytest.fixture
def idle_server(folder: Path):
    """A server that the test itself starts."""
    server = Server(folder)
    yield server
    if server.child is not None:
        server.child.kill()
        print(server.child.story())


@pytest.fixture
def server(idle_server: Server):
    """A server that listens, and at the end must stop at SIGTERM with exit code 0."""
    idle_server.start()
    yield idle_server
    idle_server.stop()


@pytest.fixture
def bot(server: Server):
    """Connects a bot with a good token, or with the one given."""
    bots: list[Bot] = []

    def connect(token: str | None = None) -> Bot:
        bots.append(Bot(server.url, token or server.token(), server.ca))
        return bots[-1]

    yield connect
    for each in bots:
        each.close()
