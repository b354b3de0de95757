"""Results as tables in Markdown."""

import limit
from columns import Column
from contestants import CONTESTANTS
from figures import Figure, ratio
from results import Result
from scenarios import SCENARIOS, Scenario


def tables(results: list[Result]) -> str:
    """One for each scenario and mode of which there are results, in the order of the scenarios."""
    found = []
    for scenario in SCENARIOS:
        for mode in scenario.modes:
            of_this = [r for r in results if (r.scenario, r.mode) == (scenario.name, mode)]
            if of_this:
                found.append(table(scenario, mode, of_this))
    return "\n".join(found)


def table(scenario: Scenario, mode: str, results: list[Result]) -> str:
    rows = [Row(scenario, label, runs) for label, runs in grouped(scenario, results).items()]
    of_limit = next((row.leading for row in rows if row.label == limit.NAME), None)
    base = next((row for row in rows if row.label == scenario.base), rows[0])
    heads = ["", *(column.title for column in scenario.columns)]
    heads += (
        [f"of {scenario.base or 'the first'}"]
        + (["of the limit"] if of_limit else [])
        + ["rounds"]
    )
    lines = [
        f"### {scenario.name}, {mode}: {scenario.what}",
        "",
        line(heads),
        line(["---"] + ["--:"] * (len(heads) - 1)),
    ]
    for row in rows:
        ratios = [ratio(row.leading, base.leading)] + (
            [ratio(row.leading, of_limit)] if of_limit else []
        )
        lines.append(line(row.cells() + [shown(r) for r in ratios] + [row.rounds()]))
    notes = [note for row in rows for note in row.notes()]
    return "\n".join([*lines, "", *([*notes, ""] if notes else [])])


def grouped(scenario: Scenario, results: list[Result]) -> dict[str, list[Result]]:
    """By what a row is called: the server first, then its peers, then the limit."""
    labels = [case.label for case in scenario.cases]
    order = [*(one.name for one in CONTESTANTS), limit.NAME]

    def place(result: Result) -> tuple[int, int]:
        return place_in(order, result.contestant), place_in(labels, result.case)

    several = len({result.contestant for result in results} - {limit.NAME}) > 1
    rows: dict[str, list[Result]] = {}
    for result in sorted(results, key=place):
        is_named = several or not result.case or result.contestant == limit.NAME
        parts = [result.contestant if is_named else "", result.case]
        rows.setdefault(", ".join(part for part in parts if part), []).append(result)
    return rows


def place_in(names: list[str], name: str) -> int:
    """Unknown ones come last."""
    return names.index(name) if name in names else len(names)


class Row:
    """All rounds of one contestant in one case."""

    def __init__(self, scenario: Scenario, label: str, runs: list[Result]) -> None:
        self.label = label
        self._columns = scenario.columns
        self._runs = runs
        self._good = [run for run in runs if not run.error]
        self.leading = self._figure(scenario.columns[0])

    def cells(self) -> list[str]:
        marked = self.label + (" \\*" if self.notes() else "")
        figures = [(self._figure(column), column.digits) for column in self._columns]
        return [
            marked,
            *(figure.shown(digits) if figure else "–" for figure, digits in figures),
        ]

    def rounds(self) -> str:
        return str(len(self._good))

    def notes(self) -> list[str]:
        """What has to be known of these figures."""
        failed = [run for run in self._runs if run.error]
        warned = [said for run in self._good if (said := self._warnings(run))]
        unclean = [run for run in self._good if faults(run.report)]
        notes = []
        if failed:
            notes.append(
                f"no figures in {len(failed)} of {len(self._runs)} rounds: {failed[0].error}"
            )
        if warned:
            notes.append(
                f"may not be the server's figures in {len(warned)} of {len(self._good)} rounds: "
                + "; ".join(dict.fromkeys(warned[0]))
            )
        if unclean:
            what = ", ".join(faults(unclean[0].report))
            notes.append(f"in {len(unclean)} of {len(self._good)} rounds: {what}")
        return [f"\\* {self.label}: {note}" for note in notes]

    def _warnings(self, run: Result) -> list[str]:
        """What is wrong with connects is no matter in a table that shows none."""
        shows_connects = any(column.place.startswith("connecting.") for column in self._columns)
        return [
            warning
            for warning in run.warnings()
            if shows_connects or ABOUT_CONNECTS not in warning
        ]

    def _figure(self, column: Column) -> Figure | None:
        values = [column.value(run.report) for run in self._good]
        return Figure.of([value for value in values if value is not None])


def faults(report: dict) -> list[str]:
    """What did not come, or not once and in order."""
    found = []
    for name in ("", "calm", "storm", "came"):
        part = report.get(name, {}) if name else report
        deliveries, clients = part.get("deliveries", {}), part.get("clients", {})
        counts = {key: deliveries.get(key, 0) for key in OF_DELIVERIES}
        counts |= {f"clients {key}": clients.get(key, 0) for key in ("failed", "closed")}
        found += [f"{name} {count:,} {key}".strip() for key, count in counts.items() if count]
        errors = [(part.get("feed") or {}).get("error"), part.get("error")]
        found += [f"{name} {error}".strip() for error in errors if error]
    return found


ABOUT_CONNECTS = "a core to connect"
OF_DELIVERIES = ("lost", "repeated", "disordered", "unasked")


def shown(number: float | None) -> str:
    return "–" if number is None else f"{number:.2f}"


def line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"
