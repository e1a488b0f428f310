"""What POST /predict takes and returns."""

import base64
import binascii
import math
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from serve.batching import MAX_BATCH, Meme

if TYPE_CHECKING:
    from serve.explanations import Explanation
    from serve.predictor import Prediction

MAX_CAPTION = 10_000
"""Maximum characters of a caption."""


class MemeIn(BaseModel):
    """A meme in JSON: a picture, a caption, or both."""

    model_config = ConfigDict(extra="forbid")

    picture: Annotated[str | None, Field(description="The picture file in base64.")] = None
    caption: Annotated[str, Field(max_length=MAX_CAPTION)] = ""


class MemesIn(BaseModel):
    """The body of POST /predict in JSON."""

    model_config = ConfigDict(extra="forbid")

    memes: Annotated[list[MemeIn], Field(min_length=1, max_length=MAX_BATCH)]


def _json_schema() -> dict[str, Any]:
    """Return the schema of MemesIn in one piece, as OpenAPI wants it."""
    schema = MemesIn.model_json_schema()
    schema["properties"]["memes"]["items"] = schema.pop("$defs")["MemeIn"]
    return schema


FORM, JSON = "multipart/form-data", "application/json"

FORM_SCHEMA = {
    "type": "object",
    "properties": {
        "picture": {"type": "string", "contentMediaType": "application/octet-stream"},
        "caption": {"type": "string", "maxLength": MAX_CAPTION},
    },
}

REQUEST_BODY = {
    "required": True,
    "content": {FORM: {"schema": FORM_SCHEMA}, JSON: {"schema": _json_schema()}},
}
"""The body of POST /predict in OpenAPI."""


class ModelOut(BaseModel):
    """Which models answered."""

    run: str
    stamp: Annotated[str, Field(description="Identity of the features and backbones.")]
    ensemble: Annotated[str, Field(description="Identity of the heads and the ensemble.")]
    version: Annotated[str, Field(description="Of memefuse.")]


class WordsOut(BaseModel):
    """Words of the caption."""

    what: str
    contribution: Annotated[float, Field(description="What they add to the probability.")]


class PicturePartOut(BaseModel):
    """One of the 3 x 3 parts of the picture."""

    row: Annotated[int, Field(description="0 at the top.")]
    column: Annotated[int, Field(description="0 at the left.")]
    contribution: Annotated[float, Field(description="What it adds to the probability.")]


class NeighbourOut(BaseModel):
    """A training meme that is like this one."""

    id: str
    caption: str
    label: Annotated[int, Field(description="1: hateful, 0: not.")]
    similarity: Annotated[float, Field(description="Cosine of the embeddings.")]


class ExplanationOut(BaseModel):
    """Why a meme has its probability."""

    probability: float
    picture_alone: Annotated[float | None, Field(description="Null unless the meme has both.")]
    caption_alone: Annotated[float | None, Field(description="Null unless the meme has both.")]
    words: Annotated[list[WordsOut], Field(description="In the order of the caption.")]
    picture: Annotated[list[PicturePartOut], Field(description="The largest contribution first.")]
    nearest: Annotated[list[NeighbourOut], Field(description="The most similar first.")]
    novelty: Annotated[float, Field(description="Near 1: nothing like it was in the training.")]


class PredictionOut(BaseModel):
    """The answer for one meme."""

    probability: Annotated[float | None, Field(description="Of being hateful; null if a fault.")]
    decision: Annotated[
        bool | None, Field(description="Whether it exceeds the threshold; null if a fault.")
    ]
    threshold: float
    fault: Annotated[str, Field(description="Why the meme cannot be used; empty if it can.")]
    caption: Annotated[str, Field(description="As used; it may be read off the picture.")]
    model: ModelOut
    explanation: Annotated[
        ExplanationOut | None, Field(description="Null unless explain=true was asked.")
    ] = None


class Received(NamedTuple):
    """The memes of a request."""

    memes: list[Meme]
    faults: list[str]
    """Of each meme, what is wrong with how it was sent; empty if nothing is."""
    single: bool
    """Whether it was sent as a form: a fault is then an error."""


async def read_memes(request: Request) -> Received:
    """Read a form with one meme, or JSON with a list. Raises HTTPException if it is neither."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == FORM:
        return await _read_form(request)
    if kind == JSON:
        return _read_json(await request.body())
    raise HTTPException(415, f"Found the content type {kind!r}, allowed: {FORM}, {JSON}.")


async def _read_form(request: Request) -> Received:
    try:
        async with request.form(max_files=1, max_fields=2) as form:
            if unknown := sorted({str(name) for name in form} - {"picture", "caption"}):
                raise HTTPException(422, f"Unknown field {unknown[0]!r}: allowed picture, caption.")
            picture, caption = form.get("picture"), form.get("caption", "")
            # A browser sends a nameless empty file if none is chosen.
            chosen = isinstance(picture, UploadFile) and picture.filename
            data = await picture.read() if chosen else None
            is_text = isinstance(picture, str) or not isinstance(caption, str)
    except UnicodeError as error:  # of a charset that is none
        raise HTTPException(400, "The form is not UTF-8 text.") from error
    if is_text:
        raise HTTPException(422, "The form needs picture as a file and caption as text.")
    if len(caption) > MAX_CAPTION:
        raise HTTPException(422, f"The caption has more than {MAX_CAPTION} characters.")
    meme = Meme(data, caption)
    return Received([meme], [_fault(meme)], single=True)


def _read_json(body: bytes) -> Received:
    try:
        given = MemesIn.model_validate_json(body).memes
    except ValidationError as error:
        raise HTTPException(422, describe(error.errors(include_input=False))) from error
    decoded = [_decode(one) for one in given]
    return Received([meme for meme, _ in decoded], [fault for _, fault in decoded], single=False)


def _decode(given: MemeIn) -> tuple[Meme, str]:
    """Return the meme and what is wrong with it."""
    try:
        picture = None if given.picture is None else base64.b64decode(given.picture, validate=True)
    except (binascii.Error, ValueError):
        return Meme(None, given.caption), "the picture is not base64"
    meme = Meme(picture, given.caption)
    return meme, _fault(meme)


def _fault(meme: Meme) -> str:
    if meme.picture is None and not meme.caption.strip():
        return "it has neither a picture nor a caption"
    if any("\ud800" <= letter <= "\udfff" for letter in meme.caption):
        return "the caption is not UTF-8 text"
    return ""


def describe(errors: list[Any]) -> str:
    """Return the first error of pydantic in one line, without what the client sent."""
    first, more = errors[0], len(errors) - 1
    place = ".".join(str(part) for part in first["loc"]) or "the body"
    return f"{place}: {first['msg']}" + (f" (and {more} more errors)" if more else "")


def answer(prediction: "Prediction", threshold: float, model: ModelOut) -> PredictionOut:
    """Return what the client gets for a prediction."""
    known = math.isfinite(prediction.probability)
    return PredictionOut(
        probability=prediction.probability if known else None,
        decision=bool(prediction.decision) if known else None,
        threshold=threshold,
        fault=prediction.fault,
        caption=prediction.caption,
        model=model,
    )


def faulty_answer(meme: Meme, fault: str, threshold: float, model: ModelOut) -> PredictionOut:
    """Return what the client gets for a meme that was sent wrongly."""
    caption = meme.caption.encode(errors="replace").decode()
    return PredictionOut(
        probability=None,
        decision=None,
        threshold=threshold,
        fault=fault,
        caption=caption,
        model=model,
    )


def explanation_out(found: "Explanation") -> ExplanationOut:
    """Return what the client gets for an explanation."""
    places = [[int(place) for place in part.what.split(",")] for part in found.picture]
    return ExplanationOut(
        probability=found.probability,
        picture_alone=found.picture_alone,
        caption_alone=found.caption_alone,
        words=[WordsOut(what=what, contribution=share) for what, share in found.words],
        picture=[
            PicturePartOut(row=row, column=column, contribution=part.contribution)
            for (row, column), part in zip(places, found.picture, strict=True)
        ],
        nearest=[NeighbourOut(**one._asdict()) for one in found.nearest],
        novelty=found.novelty,
    )
