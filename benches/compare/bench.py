"""Does one job after the other."""

import logging
import time
from pathlib import Path

import limit
from cpus import FREE, Cpus
from jobs import Job
from place import Place
from results import Result
from run import Run, RunFailed
from tables import faults


class Bench:
    def __init__(self, binary: Path, loop: Path | None, place: Place, cpus: Cpus) -> None:
        """With a load client and a limit loop."""
        self._binary = binary
        self._loop = loop
        self._place = place
        self._cpus = cpus

    def result(self, job: Job) -> Result:
        """Measures, and says in a word what was found; whatever fails is a result as well."""
        begun = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        command, report, error = [], {}, ""
        try:
            command, report = self._measure(job)
        except (RunFailed, OSError) as failed:
            error = str(failed)
        result = Result(
            scenario=job.scenario.name,
            case=job.case.label,
            mode=job.mode,
            contestant=job.who,
            round=job.round,
            time=begun,
            command=command,
            report=report,
            error=error,
        )
        logging.info("%s: %s", job, in_a_word(job, result))
        for warning in result.warnings():
            logging.warning("  warning: %s", warning)
        return result

    def _measure(self, job: Job) -> tuple[list[str], dict]:
        cpus = self._cpus if job.scenario.is_pinned else FREE
        if job.contestant is None:
            arguments = f"{job.scenario.limit[job.mode]} --clients {job.case.clients}"
            return limit.measure(self._loop, arguments, cpus)
        door = self._place.door(job.mode)
        run = Run(self._binary, job.contestant, job.case, door, self._place, cpus)
        return job.scenario.measure(run)


def in_a_word(job: Job, result: Result) -> str:
    if result.error:
        return result.error
    leading = job.scenario.columns[0]
    value = leading.value(result.report)
    figure = "no figure" if value is None else f"{value:,.{leading.digits}f} {leading.title}"
    return ", ".join([figure, *faults(result.report)])
