"""The command line of memefuse: names every path of a run and calls the stages in order.

Each command imports what it needs when it runs, so that --help is instant.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from extract.config import ExtractConfig
from heads.config import FitConfig, SubmitConfig
from runtime.errors import CTRL_C, INTERRUPTED, UserError, explain
from runtime.flags import Force, RunName, with_settings
from runtime.lock import locked
from runtime.processes import first, limit_spinning

RUNS = Path("runs")

app = typer.Typer(
    help="Is a meme hateful? Fine-tune two backbones once, then fit fusion heads many times.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
@with_settings(ExtractConfig)
def extract(
    config: ExtractConfig,
    *,
    only_folds: Annotated[
        str | None,
        typer.Option(
            help="Make these folds alone, such as 0,2, for merge to join: one job a machine.",
            rich_help_panel="Run",
        ),
    ] = None,
    run: RunName = "default",
    force: Force = False,
) -> None:
    """Stage one: fine-tune both backbones, dump pooled embeddings to runs/NAME/features.h5."""
    name = _folder(run)
    from extract.run import extract as run_stage

    with locked(name, ranks=True) as folder:
        made = run_stage(config, folder, force, only_folds)
    if first():
        print(made)


@app.command()
def merge(
    parts: Annotated[
        list[str], typer.Argument(help="Names of the runs that hold folds, at least one.")
    ],
    *,
    data: Annotated[
        str | None,
        typer.Option(help="Where the data is, if not where it was.", rich_help_panel="Data"),
    ] = None,
    run: RunName = "default",
    force: Force = False,
) -> None:
    """Join the folds that extract --only-folds made in other runs to runs/NAME/features.h5."""
    from extract.merge_folds import merge as run_merge

    with locked(_folder(run)) as folder:
        print(run_merge(folder, [_folder(part) for part in parts], data, force))


@app.command()
@with_settings(FitConfig)
def fit_heads(config: FitConfig, *, run: RunName = "default") -> None:
    """Stage two: fit fusion heads on features.h5 and tune each one's threshold."""
    from heads.run import fit_heads as run_stage

    with locked(_folder(run)) as folder:
        print(run_stage(config, folder))


@app.command()
@with_settings(SubmitConfig)
def submit(config: SubmitConfig, *, run: RunName = "default") -> None:
    """Ensemble the fitted heads; write solution.csv, and runs/NAME/report.html and report.md."""
    from heads.report.build import write_report
    from heads.run import submit as run_stage

    with locked(_folder(run)) as folder:
        print(run_stage(config, folder))
        print(write_report(folder))


@app.command()
@with_settings(ExtractConfig, FitConfig, SubmitConfig)
def run(
    extraction: ExtractConfig,
    fit: FitConfig,
    submission: SubmitConfig,
    *,
    run: RunName = "default",
    force: Force = False,
) -> None:
    """All three: extract, fit-heads, submit. Takes the flags of each."""
    from extract.run import extract as run_extract
    from heads.report.build import write_report
    from heads.run import fit_heads as run_fit
    from heads.run import submit as run_submit

    with locked(_folder(run)) as folder:
        print(run_extract(extraction, folder, force))
        print(run_fit(fit, folder, show=False))
        print(run_submit(submission, folder))
        print(write_report(folder))


@app.command()
def report(*, run: RunName = "default") -> None:
    """Write runs/NAME/report.html and report.md anew, from what the run has now."""
    from heads.report.build import write_report

    with locked(_folder(run)) as folder:
        print(write_report(folder))


@app.command()
def check(
    *,
    run: RunName = "default",
    solution: Annotated[
        Path, typer.Option(help="The submission to check.", rich_help_panel="Run")
    ] = Path("solution.csv"),
) -> None:
    """Look for leaks, unused modalities, a submission gone wrong; exit code 1 if a check fails."""
    from heads.check.all_checks import check_run

    with locked(_folder(run)) as folder:
        if not check_run(folder, solution):
            raise typer.Exit(1)


@app.command()
def status(*, run: RunName = "default") -> None:
    """Show how far a run has come, step by step, and what must run again, and why."""
    from extract.status import steps_of_stage_one
    from heads.status import steps_of_stage_two
    from runtime.run_steps import print_steps

    folder = _folder(run)
    print_steps([*steps_of_stage_one(folder), *steps_of_stage_two(folder)])


@app.command()
def predict(
    *,
    data: Annotated[
        str | None,
        typer.Option(help="A table of memes, or a folder with one.", rich_help_panel="Memes"),
    ] = None,
    image: Annotated[
        Path | None, typer.Option(help="One picture; needs --text.", rich_help_panel="Memes")
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="The picture's caption.", rich_help_panel="Memes")
    ] = None,
    on_bad_rows: Annotated[
        str,
        typer.Option(help="stop, or blank: grey image, empty caption.", rich_help_panel="Memes"),
    ] = "stop",
    out: Annotated[
        Path | None,
        typer.Option(help="File to write; without it, stdout.", rich_help_panel="Memes"),
    ] = None,
    run: RunName = "default",
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda or cuda:N.", rich_help_panel="Run")
    ] = "auto",
) -> None:
    """Score new memes with what a run saved; writes id,probability,label."""
    import numpy as np

    from extract.predict import embed_memes, read_many, read_one
    from heads.ensemble.submission import predictions_csv, write_predictions
    from heads.predict import score_memes

    one = image is not None and text is not None
    if one == (data is not None) or (not one and (image or text)):
        raise UserError("predict: pass either --data, or --image together with --text")
    folder = _folder(run)
    backbones = folder / "backbones"
    reading = read_one(image, text) if one else read_many(Path(data), backbones)
    tables = embed_memes(reading, backbones, device, on_bad_rows)
    parts = [(table.rows.id, *score_memes(table, folder)) for table in tables]
    scored = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
    if out:
        print(write_predictions(out, *scored))
    else:
        print(predictions_csv(*scored), end="")


@app.command()
@with_settings(ExtractConfig)
def doctor(config: ExtractConfig, *, run: RunName = "default") -> None:
    """Find what would stop extract before it starts; exit code 1 if there is such a thing."""
    from extract.doctor.doctor import doctor as examine

    if not examine(config, _folder(run)):
        raise typer.Exit(1)


@app.command()
def sample(
    *,
    out: Annotated[Path, typer.Option(help="New folder for the sample.")],
    memes: Annotated[int, typer.Option(help="How many memes.", min=120)] = 2000,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.", min=0)] = 0,
) -> None:
    """Write the built-in sample memes to disk, as anybody's own data would look."""
    from extract.sample import write_sample

    print(write_sample(out, memes, seed))


def _folder(name: str) -> Path:
    if Path(name).name != name or name in ("", ".", ".."):
        raise UserError(f'--run: found "{name}", allowed: a name; the run\'s folder is runs/NAME')
    return RUNS / name


def main() -> int:
    """Run a command; a mistake of the user's ends in one message and exit code 2."""
    limit_spinning()
    try:
        # Not standalone: typer would word and exit by itself.
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False) or 0
    except (UserError, OSError, typer.TyperException) as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        return 2
    if code == CTRL_C:
        print(INTERRUPTED, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
