"""The command line: a function per command, which imports what it needs, so that --help is fast."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from extract.config import ExtractConfig
from extract.tables.table_options import require_tables
from features.features_file import require_features
from heads.config import FitConfig, SubmitConfig
from runtime.cluster.engine_config import LOCAL, EngineConfig
from runtime.console import print_data, tolerate_encodings
from runtime.errors import CTRL_C, INTERRUPTED, UserError, error_message, name_run
from runtime.flags_from_config import Explain, Force, OnlyFolds, RunName, named_run, with_settings
from runtime.lock import locked
from runtime.processes import first, pause_collection, start_command
from serve.config import ExportConfig, PredictConfig, ServeConfig, parse_prior

app = typer.Typer(
    help="Classify memes as hateful or not: fine-tune two backbones once, then fit fusion heads.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
@with_settings(ExtractConfig, EngineConfig)
def extract(
    config: ExtractConfig,
    engine: EngineConfig,
    *,
    only_folds: OnlyFolds = None,
    run: RunName = "default",
    force: Force = False,
) -> None:
    """Stage one: fine-tune both backbones, write pooled embeddings to runs/NAME/features.h5."""
    path = _folder(run)
    require_tables(config)
    from extract.run import extract as run_stage

    with locked(path, distributed=engine.engine == LOCAL) as folder:
        features = run_stage(config, folder, force, only_folds, engine)
    if first():
        print(features)


@app.command()
def merge(
    parts: Annotated[
        list[str], typer.Argument(help="Names of the runs with the folds to join, at least one.")
    ],
    *,
    data: Annotated[
        str | None,
        typer.Option(help="Path of the data, if it has moved.", rich_help_panel="Data"),
    ] = None,
    run: RunName = "default",
    force: Force = False,
) -> None:
    """Join the folds that extract --only-folds wrote in other runs to runs/NAME/features.h5."""
    from extract.merge_folds import merge as run_merge

    with locked(_folder(run)) as folder:
        print(run_merge(folder, [_folder(part) for part in parts], data, force))


@app.command()
@with_settings(FitConfig)
def fit_heads(config: FitConfig, *, run: RunName = "default") -> None:
    """Stage two: fit fusion heads on features.h5 and choose a threshold for each."""
    with pause_collection():
        from heads.run import fit_heads as run_stage

    with locked(_folder(run)) as folder:
        print(run_stage(config, folder))


@app.command()
@with_settings(SubmitConfig)
def submit(config: SubmitConfig, *, run: RunName = "default") -> None:
    """Combine the fitted heads in an ensemble; write solution.csv, report.html and report.md."""
    with locked(_folder(run)) as folder:
        _submit(config, folder)


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
    """Run extract, fit-heads and submit. Takes the flags of all three."""
    require_tables(extraction)
    from extract.run import extract as run_extract
    from heads.run import fit_heads as run_fit

    with locked(_folder(run)) as folder:
        print(run_extract(extraction, folder, force))
        print(run_fit(fit, folder, show=False))
        _submit(submission, folder)


@app.command()
def report(*, run: RunName = "default", explain: Explain = False) -> None:
    """Write runs/NAME/report.html and report.md again, from the current files of the run."""
    require_features(_folder(run) / "features.h5")
    from heads.report.build import write_report
    from heads.report.finished_run import read_run

    with locked(_folder(run)) as folder:
        if explain:
            from serve.gallery_explanations import explain_gallery

            explain_gallery(folder)
        print(write_report(read_run(folder)))


@app.command()
def check(
    *,
    run: RunName = "default",
    solution: Annotated[
        Path, typer.Option(help="The submission to check.", rich_help_panel="Run")
    ] = Path("solution.csv"),
) -> None:
    """Check for leaks, unused modalities, an invalid submission; exit code 1 if a check fails."""
    require_features(_folder(run) / "features.h5")
    from heads.check.all_checks import check_run

    with locked(_folder(run)) as folder:
        if not check_run(folder, solution):
            raise typer.Exit(1)


@app.command()
def status(*, run: RunName = "default") -> None:
    """Show the state of each step of a run: what is done, and what must run again and why."""
    from extract.status import steps_of_stage_one
    from heads.status import steps_of_stage_two
    from runtime.run_steps import print_steps

    folder = _folder(run)
    steps = [*steps_of_stage_one(folder), *steps_of_stage_two(folder)]
    print_steps([step._replace(detail=name_run(step.detail, run)) for step in steps])


@app.command()
@with_settings(PredictConfig)
def predict(config: PredictConfig, *, run: RunName = "default") -> None:
    """Score new memes with a run's saved models; writes id,probability,label."""
    if config.writes_shards:
        from serve.shards.predict_shards import predict_shards

        if not predict_shards(config, _folder(run)):
            raise typer.Exit(1)
        print(config.out)
        return
    from serve.table_predictions import predict_table

    if written := predict_table(config, _folder(run), print_data):
        print(written)


@app.command()
@with_settings(ServeConfig)
def serve(config: ServeConfig, *, run: RunName = "default") -> None:
    """Answer over HTTP: an API, a page to try memes, and a page to review doubtful ones."""
    from serve.server import serve as run_service

    prior = parse_prior(config.prior)
    run_service(_folder(run), config.host, config.port, config.token, config.device, prior)


@app.command()
@with_settings(ExportConfig)
def export(config: ExportConfig, *, run: RunName = "default") -> None:
    """Write a folder that scores memes with ONNX Runtime, without PyTorch."""
    from serve.export.checked_export import export as run_export

    print(run_export(config, _folder(run)))


@app.command()
@with_settings(ExtractConfig)
def doctor(config: ExtractConfig, *, run: RunName = "default") -> None:
    """Check data, machine and disk before extract; exit code 1 if something would stop it."""
    from extract.doctor.doctor import doctor as examine

    if not examine(config, _folder(run)):
        raise typer.Exit(1)


@app.command()
def sample(
    *,
    out: Annotated[Path, typer.Option(help="New folder to write the sample to.")],
    memes: Annotated[int, typer.Option(help="Number of memes.", min=120)] = 2000,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.", min=0)] = 0,
) -> None:
    """Write the built-in sample memes to disk, in the layout of your own data."""
    from extract.sample import write_sample

    print(write_sample(out, memes, seed))


def _submit(config: SubmitConfig, folder: Path) -> None:
    from heads.report.build import write_report
    from heads.report.finished_run import read_run
    from heads.run import submit
    from serve.drift.held_out_memes import write_reference

    print(submit(config, folder))
    finished = read_run(folder)
    write_reference(finished)
    print(write_report(finished))


def _folder(name: str) -> Path:
    if Path(name).name != name or name in ("", ".", ".."):
        raise UserError(f'--run: found "{name}", allowed: a name; the run\'s folder is runs/NAME')
    return Path("runs") / name


def main() -> int:
    """Run a command. An error that the user can fix prints one message and exits with code 2."""
    start_command()
    tolerate_encodings()
    try:
        # In standalone mode, typer would print errors and exit itself.
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False) or 0
    except (UserError, OSError, typer.TyperException) as error:
        message = name_run(error_message(error), named_run(sys.argv))
        print(f"error: {message}", file=sys.stderr)
        return 2
    if code == CTRL_C:
        print(name_run(INTERRUPTED, named_run(sys.argv)), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
