"""The web application: predictions, the pages, health and metrics."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware

from serve.batching import MAX_WAITING, Batcher, ClosedError, Meme, QueueFullError
from serve.guards import (
    RETRY,
    SECURITY_HEADERS,
    LimitBodies,
    RequireToken,
    SameOrigin,
    SecurityHeaders,
    refuse,
)
from serve.meme_requests import (
    REQUEST_BODY,
    ExplanationOut,
    ModelOut,
    PredictionOut,
    Received,
    answer,
    describe,
    explanation_out,
    faulty_answer,
    read_memes,
)
from serve.review.review_memes import DoubtfulMemes
from serve.review.review_queue import ReviewQueue
from serve.review.review_routes import review_router
from serve.service_metrics import MeasureRequests, ServiceMetrics

if TYPE_CHECKING:
    from serve.drift.recent_memes import RecentMemes
    from serve.explanations import Explanation
    from serve.predictor import Prediction, Predictor

PAGES = {"/": "try.html", "/review": "review.html", "/docs": "docs.html"}
FILES = Path(__file__).parent / "pages"
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
LOCAL_HOSTS = ["localhost", "127.0.0.1", "[::1]"]

MAX_EXPLANATIONS = 2
"""Maximum explanations at a time: each scores up to 37 memes, next to those of the queue."""

RETRY_EXPLANATION = {"Retry-After": "5"}

Explain = Callable[[bytes | None, str], "Explanation"]
ExplainMeme = Callable[[Meme], Awaitable[ExplanationOut]]


def create_app(
    predictor: "Predictor",
    queue: ReviewQueue,
    doubtful: DoubtfulMemes,
    token: str | None = None,
    max_waiting: int = MAX_WAITING,
    explain: Explain | None = None,
    recent: "RecentMemes | None" = None,
) -> FastAPI:
    """Return the application over a loaded predictor; it closes `queue` when it stops.

    With a token, every route needs it but /health and the pages, which hold no data. Without one,
    only requests to this machine's own names are answered, so that no web page can reach the
    service by a name of its own (DNS rebinding). `explain` is Explainer.explain; without it,
    explanations are refused. /metrics compares the `recent` memes with the held-out ones.
    """
    metrics = ServiceMetrics(recent)
    predict = partial(predictor.predict, recent=recent) if recent is not None else predictor.predict
    batcher = Batcher(predict, metrics.batch_sizes.observe, max_waiting)
    metrics.waiting.set_function(lambda: batcher.waiting)

    @asynccontextmanager
    async def closing(app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(batcher.close)
        queue.close()

    app = FastAPI(
        title="memefuse",
        version=predictor.version,
        docs_url=None,  # FastAPI's pages load scripts from another origin
        redoc_url=None,
        lifespan=closing,
    )
    explain_meme = _limited(explain) if explain else None
    app.include_router(_predict_router(predictor, batcher, metrics, explain_meme))
    app.include_router(review_router(queue, doubtful.pictures))
    files = _page_router()
    app.include_router(files)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _failed)
    # The last one added is the first to see a request.
    app.add_middleware(LimitBodies)
    app.add_middleware(SameOrigin)
    if token:
        open_paths = frozenset({"/health", *(route.path for route in files.routes)})
        app.add_middleware(RequireToken, token=token, open_paths=open_paths)
    else:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=LOCAL_HOSTS, www_redirect=False)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(MeasureRequests, metrics=metrics)
    return app


def _predict_router(
    predictor: "Predictor",
    batcher: Batcher,
    metrics: ServiceMetrics,
    explain_meme: ExplainMeme | None,
) -> APIRouter:
    router = APIRouter()
    model = ModelOut(
        run=predictor.name,
        stamp=predictor.stamp,
        ensemble=predictor.ensemble,
        version=predictor.version,
    )
    threshold = float(predictor.threshold)

    @router.post("/predict", openapi_extra={"requestBody": REQUEST_BODY})
    async def predict(request: Request, explain: bool = False) -> list[PredictionOut]:
        """Score one meme, sent as a form, or up to 64, sent as JSON; explain one if asked."""
        received = await read_memes(request)
        if explain:
            _check_explainable(received, explain_meme)
        answers = await answer_all(received)
        if received.single and answers[0].fault:
            raise HTTPException(422, answers[0].fault)
        if explain and explain_meme and not answers[0].fault:
            used = Meme(received.memes[0].picture, answers[0].caption)
            answers[0].explanation = await explain_meme(used)
        metrics.memes.inc(len(answers))
        return answers

    async def answer_all(received: Received) -> list[PredictionOut]:
        sent = list(zip(received.memes, received.faults, strict=True))
        predictions = iter(await _predictions(batcher, [meme for meme, fault in sent if not fault]))
        return [
            faulty_answer(meme, fault, threshold, model)
            if fault
            else answer(next(predictions), threshold, model)
            for meme, fault in sent
        ]

    @router.get("/health")
    def health() -> JSONResponse:
        """Whether the service takes memes, and which models answer. 503 while it stops."""
        status = 200 if batcher.ready else 503
        return JSONResponse({"ready": batcher.ready, "model": model.model_dump()}, status)

    @router.get("/metrics")
    def show_metrics() -> PlainTextResponse:
        """Metrics for Prometheus."""
        return PlainTextResponse(metrics.text(), media_type="text/plain; version=0.0.4")

    return router


def _check_explainable(received: Received, explain_meme: ExplainMeme | None) -> None:
    if explain_meme is None:
        raise HTTPException(422, "Explanations are not available.")
    if (count := len(received.memes)) != 1:
        raise HTTPException(422, f"Found {count} memes with explain=true, allowed: 1.")


def _limited(explain: Explain) -> ExplainMeme:
    """Return a coroutine that explains in a thread, at most MAX_EXPLANATIONS at a time."""
    slots = threading.Semaphore(MAX_EXPLANATIONS)

    def explain_and_release(meme: Meme) -> "Explanation":
        try:
            return explain(meme.picture, meme.caption)
        finally:
            slots.release()  # here: a thread goes on when the client's request is cancelled

    async def explain_meme(meme: Meme) -> ExplanationOut:
        if not slots.acquire(blocking=False):
            detail = "Too many memes are being explained. Try again."
            raise HTTPException(429, detail, headers=RETRY_EXPLANATION)
        return explanation_out(await asyncio.to_thread(explain_and_release, meme))

    return explain_meme


async def _predictions(batcher: Batcher, memes: list[Meme]) -> "list[Prediction]":
    if not memes:
        return []
    try:
        return await asyncio.wrap_future(batcher.submit(memes))
    except QueueFullError as error:
        raise HTTPException(429, "Too many memes wait. Try again.", headers=RETRY) from error
    except ClosedError as error:
        raise HTTPException(503, "The service is stopping.", headers=RETRY) from error


def _page_router() -> APIRouter:
    """Return the routes of the pages and their files, which are read once."""
    router = APIRouter(include_in_schema=False)
    files = {f"/pages/{path.name}": path for path in FILES.iterdir() if path.suffix in TYPES}
    for route, path in {**files, **{page: FILES / name for page, name in PAGES.items()}}.items():
        router.add_api_route(route, _send(path.read_bytes(), TYPES[path.suffix]), methods=["GET"])
    return router


def _send(content: bytes, media_type: str) -> Callable[[], Awaitable[Response]]:
    async def send() -> Response:
        return Response(content, media_type=media_type)

    return send


def _invalid(request: Request, error: RequestValidationError) -> Response:
    return refuse(422, describe(error.errors()))


def _failed(request: Request, error: Exception) -> Response:
    # Outside of all middleware, so that SecurityHeaders does not see it.
    return refuse(500, "The service failed; its log says why.", SECURITY_HEADERS)
