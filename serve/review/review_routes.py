"""Routes of the review page."""

from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Response
from pydantic import BaseModel, StringConstraints

from serve.review.review_memes import shown_picture
from serve.review.review_queue import Offer, ReviewConflictError, ReviewQueue

Reviewer = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]


class ReviewerIn(BaseModel):
    """Who asks."""

    reviewer: Reviewer


class DecisionIn(ReviewerIn):
    """What a reviewer decided."""

    row: int
    decision: Literal["hateful", "not", "skip"]


class MemeOut(BaseModel):
    """A meme to review. Its probability is not told: it could sway the reviewer."""

    row: int
    id: str
    caption: str
    picture: bool


class OfferOut(BaseModel):
    """The next meme; null if none is left, or if others have all that are left."""

    meme: MemeOut | None
    left: int


def review_router(queue: ReviewQueue, pictures: dict[int, Path]) -> APIRouter:
    """Return the routes over a queue; `pictures` has the picture files by row."""
    router = APIRouter(prefix="/review", tags=["review"])

    def shown(offer: Offer) -> OfferOut:
        if offer.meme is None:
            return OfferOut(meme=None, left=offer.left)
        one = offer.meme
        shows = one.row in pictures
        meme = MemeOut(row=one.row, id=one.id, caption=one.caption, picture=shows)
        return OfferOut(meme=meme, left=offer.left)

    # These are plain functions, which FastAPI calls in threads: they wait for the disk.
    @router.post("/next")
    def next_meme(asked: ReviewerIn) -> OfferOut:
        """Give a reviewer the least certain meme; nobody else gets it for two minutes."""
        return shown(queue.next(asked.reviewer))

    @router.post("/decide")
    def decide(made: DecisionIn) -> OfferOut:
        """Save a decision and give the next meme. 409 if another reviewer was faster."""
        try:
            queue.decide(made.row, made.decision, made.reviewer)
        except KeyError as error:
            raise HTTPException(404, "This meme is not in the review queue.") from error
        except ReviewConflictError as error:
            detail = "Another reviewer has this meme, or it is decided. Go on with the next one."
            raise HTTPException(409, detail) from error
        except OSError as error:
            raise _not_saved(error) from error
        return shown(queue.next(made.reviewer))

    @router.post("/undo")
    def undo(asked: ReviewerIn) -> OfferOut:
        """Take back the reviewer's latest decision and give that meme again."""
        try:
            return shown(queue.undo(asked.reviewer))
        except OSError as error:
            raise _not_saved(error) from error

    @router.get("/picture/{row}", response_class=Response)
    def picture(row: int) -> Response:
        """Return the picture of a meme as a JPEG."""
        data = shown_picture(pictures[row]) if row in pictures else None
        if data is None:
            raise HTTPException(404, "The meme has no picture that can be shown.")
        return Response(data, media_type="image/jpeg")

    return router


def _not_saved(error: OSError) -> HTTPException:
    detail = f"The decision was not saved: {error.strerror}. Free the server's disk, then repeat."
    return HTTPException(503, detail)
