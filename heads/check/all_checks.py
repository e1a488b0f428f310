"""Run all checks of a finished run and write check.json."""

from dataclasses import asdict
from pathlib import Path

from rich.padding import Padding
from rich.text import Text

from features.hdf5_store import read_features
from heads.check.check_result import Check
from heads.check.leak_checks import seen_vs_held_out, shuffled_labels
from heads.check.modality_checks import fusion_gain, shuffled_modalities
from heads.check.slice_check import slice_gap
from heads.check.submission_checks import check_scores, check_solution_file
from heads.ensemble.saved_ensemble import read_ensemble, read_ensemble_probabilities
from heads.ensemble.submission import requested_rows
from heads.fitting.head_inputs import project_spaces
from heads.fitting.held_out_evaluation import load_protocol
from heads.fitting.saved_heads import read_records
from runtime.console import results_console
from runtime.files.json_files import write_json
from runtime.progress import progress


def check_run(run: Path, solution: Path) -> bool:
    """Run every check, print the results, write check.json; return whether all checks passed.

    `solution` is the submission to compare with the run. Raises UserError if the run has no
    ensemble yet.
    """
    table = read_features(run / "features.h5", embeddings=False)
    heads = run / "heads"
    records = read_records(heads, table.attributes["stamp"])
    ensemble = read_ensemble(heads)
    probabilities = read_ensemble_probabilities(heads)
    protocol = load_protocol(table, records[0].metric, heads)
    projected = project_spaces(table, run)
    requested = requested_rows(table.rows)
    final = probabilities.final[requested]
    decision = final > ensemble.threshold["value"]
    with progress("check", 4, "checks") as advance:
        checks = [shuffled_labels(table, projected, protocol)]
        advance(1)
        checks += seen_vs_held_out(table, projected, protocol)
        advance(1)
        checks += shuffled_modalities(records, table, projected, protocol, heads)
        advance(1)
        checks.append(fusion_gain(table, probabilities.held_out, heads, protocol.seed))
        checks += slice_gap(run, table, probabilities.held_out, ensemble, protocol.seed)
        checks += check_scores(ensemble, decision, ensemble.prior or ensemble.trained_prior)
        checks.append(check_solution_file(solution, table.rows.id[requested], final, decision))
        advance(1)
    write_json(run / "check.json", {"checks": [asdict(check) for check in checks]})
    print_checks(checks)
    return all(check.ok for check in checks)


def print_checks(checks: list[Check]) -> None:
    """Print one paragraph per check to stdout."""
    console = results_console()
    for check in checks:
        # Escaped, because ids and names of slices may look like markup.
        mark = "[green]ok[/]  " if check.ok else "[red bold]FAIL[/]"
        console.print(f"{mark} [bold]{check.name}[/]")
        sentence = Text(check.sentence, style="" if check.ok else "red")
        console.print(Padding(sentence, (0, 0, 0, 5), expand=False))
    failed = sum(not check.ok for check in checks)
    console.print(f"{len(checks)} checks, {failed or 'none'} failed", style="bold")
