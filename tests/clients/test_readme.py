"""The programs in README.md, as they stand there but for the address."""

import re
import sys

import pytest

from running import NODE_MODULES, ROOT, clean_environment

SIGNAL = (
    '{"type":"buy","content":{"symbol":"EURUSD","price":1.07260,'
    '"timestamp":1492596000},"is_test":false}'
)


@pytest.mark.parametrize(
    ("language", "interpreter", "file"),
    [("python", sys.executable, "listen.py"), ("js", "node", "listen.mjs")],
    ids=["python", "node"],
)
def test_the_readmes_program_shows_the_answer_to_test_and_then_a_signal(
    server, folder, run, language, interpreter, file
):
    readme = (ROOT / "README.md").read_text()
    (program,) = re.findall(rf"^```{language}\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    assert "wss://127.0.0.1:8080" in program
    (folder / file).write_text(program.replace("wss://127.0.0.1:8080", server.url))
    # As `npm install ws` in that folder would have it.
    (folder / "node_modules").symlink_to(NODE_MODULES)

    shown = run(interpreter, file, env=clean_environment(SIGNALCAST_TOKEN=server.token()))
    assert '"is_test":true' in shown.line("is_test")
    server.append(SIGNAL)
    assert shown.line("EURUSD") == SIGNAL
