"""Time a resident predictor: one meme at a time, by 4 and 16 threads, and a table.

python -m benchmarks.speed.serving --run runs/NAME --data TABLE
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.command_line import run_command
from extract.new_memes import read_new_memes
from extract.tables.read_memes import ReadResult
from serve.batching import Batcher, Meme
from serve.predictor import Predictor

CALLERS = (1, 4, 16)


def main(
    run: Annotated[Path, typer.Option(help="Folder of a finished run.")],
    data: Annotated[Path, typer.Option(help="Table of memes to score.")],
    requests: Annotated[int, typer.Option(help="Requests per caller.")] = 50,
) -> None:
    """Print median, 99th percentile and memes per second, as the service would answer."""
    start = time.perf_counter()
    predictor = Predictor(run)
    predictor.warm_up()
    print(f"loaded in {time.perf_counter() - start:.1f} s")
    reading = read_new_memes(data, run / "backbones")
    rows = reading[0].rows
    memes = [
        Meme(Path(image).read_bytes() if image else None, caption)
        for image, caption in zip(rows["image"], rows["caption"], strict=True)
    ]
    for callers in CALLERS:
        seconds, total = answer_times(predictor, memes, callers, requests)
        median, late = np.percentile(seconds, [50, 99]) * 1000
        rate = callers * requests / total
        print(f"{callers:2} callers: median {median:.0f} ms, p99 {late:.0f} ms, {rate:.1f} memes/s")
    embedding, whole = table_rates(predictor, reading)
    print(
        f"table of {len(memes)}: {whole:.1f} memes/s; embedding alone, as in extract, "
        f"{embedding:.1f}: {whole / embedding:.0%}"
    )


def table_rates(predictor: Predictor, reading: ReadResult) -> tuple[float, float]:
    """Return memes per second of embedding a table's memes, and of decoding and scoring too."""
    start = time.perf_counter()
    memes = predictor.spaces.load(reading, "blank")
    decoded = time.perf_counter()
    embedded = predictor.spaces.embed(memes)
    done = time.perf_counter()
    predictor.scorer.score(embedded)
    end = time.perf_counter()
    print(f"decode {decoded - start:.1f} s, embed {done - decoded:.1f}, score {end - done:.1f}")
    count = len(memes.table)
    return count / (done - decoded), count / (end - start)


def answer_times(
    predictor: Predictor, memes: list[Meme], callers: int, requests: int
) -> tuple[np.ndarray, float]:
    """Return the seconds of each request, float (callers * requests,), and those of all."""
    batcher, seconds, lock = Batcher(predictor.predict, lambda size: None), [], threading.Lock()

    def call(caller: int) -> None:
        for number in range(requests):
            start = time.perf_counter()
            batcher.submit([memes[(caller * requests + number) % len(memes)]]).result()
            with lock:
                seconds.append(time.perf_counter() - start)

    start = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(call, range(callers)))
    total = time.perf_counter() - start
    batcher.close()
    return np.array(seconds), total


if __name__ == "__main__":
    run_command(main)
