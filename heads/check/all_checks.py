"""All checks of a finished run."""

from dataclasses import asdict
from pathlib import Path

from features.hdf5_store import read_features
from heads.check.check_result import Check
from heads.check.leak_checks import seen_against_unseen, shuffled_labels
from heads.check.modality_checks import fusion_gain, modality_use
from heads.check.submission_checks import check_scores, check_solution_file
from heads.ensemble.saved_ensemble import read_ensemble, read_ensembled
from heads.ensemble.submission import rows_asked_for
from heads.fitting.head_inputs import project
from heads.fitting.held_out_evaluation import open_protocol
from heads.fitting.saved_heads import read_records
from runtime.console import results_console
from runtime.json_files import write_json
from runtime.progress import progress


def check_run(run: Path, solution: Path) -> bool:
    """Run every check, print what each found, write check.json; True if nothing is wrong.

    `solution` is the submission to compare with the run. Raises UserError if the run has no
    ensemble yet.
    """
    table = read_features(run / "features.h5", embeddings=False)
    heads = run / "heads"
    records = read_records(heads, table.attributes["stamp"])
    ensemble = read_ensemble(heads)
    said = read_ensembled(heads)
    protocol = open_protocol(table, records[0].metric, heads)
    projected = project(table, run)
    asked = rows_asked_for(table.rows)
    decision = said.final[asked] > ensemble.threshold["value"]
    with progress("check", 4, "checks") as advance:
        checks = [shuffled_labels(table, projected, protocol)]
        advance(1)
        checks += seen_against_unseen(table, projected, protocol)
        advance(1)
        checks += modality_use(records, table, projected, protocol, heads)
        checks.append(fusion_gain(table, said.held_out, heads, protocol.seed))
        checks += check_scores(ensemble, decision, ensemble.prior or ensemble.trained_prior)
        checks.append(
            check_solution_file(solution, table.rows.id[asked], said.final[asked], decision)
        )
        advance(1)
    write_json(run / "check.json", {"checks": [asdict(check) for check in checks]})
    print_checks(checks)
    return all(check.ok for check in checks)


def print_checks(checks: list[Check]) -> None:
    """One paragraph a check, to stdout."""
    console = results_console()
    for check in checks:
        mark = "[green]ok[/]  " if check.ok else "[red bold]FAIL[/]"
        console.print(f"{mark} [bold]{check.name}[/]")
        console.print(f"     {check.sentence}", style=None if check.ok else "red")
    wrong = sum(not check.ok for check in checks)
    console.print(f"{len(checks)} checks, {wrong or 'none'} failed", style="bold")
