"""What /metrics tells Prometheus, and the middleware that measures requests."""

import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from serve.drift.recent_memes import RecentMemes

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)


class ServiceMetrics:
    """The metrics of one app."""

    def __init__(self, recent: "RecentMemes | None" = None) -> None:
        """With `recent` memes, there are also metrics of their drift."""
        registry = self._registry = CollectorRegistry()
        self.requests = Counter(
            "memefuse_requests", "Requests answered.", ("route", "status"), registry=registry
        )
        self.seconds = Histogram(
            "memefuse_request_seconds", "Seconds to answer.", ("route",), registry=registry
        )
        self.memes = Counter("memefuse_memes", "Memes answered, also faulty.", registry=registry)
        self.batch_sizes = Histogram(
            "memefuse_batch_memes", "Memes a call.", buckets=BATCH_SIZES, registry=registry
        )
        self.waiting = Gauge("memefuse_queue_memes", "Memes in the queue.", registry=registry)

        self._recent = recent
        if recent is not None:
            label, about = ("quantity",), "of the last memes and the held-out ones"
            self._statistic = Gauge(
                "memefuse_drift_statistic", f"KS statistic {about}.", label, registry=registry
            )
            self._p = Gauge("memefuse_drift_p", f"P value {about}.", label, registry=registry)
            memes = Gauge("memefuse_drift_memes", "Memes that are compared.", registry=registry)
            memes.set_function(lambda: len(recent))

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        for found in self._recent.compare() if self._recent is not None else ():
            self._statistic.labels(found.quantity).set(found.statistic)
            self._p.labels(found.quantity).set(found.p)
        return generate_latest(self._registry)


class MeasureRequests:
    """ASGI middleware: count requests by route and status, and time them."""

    def __init__(self, app: ASGIApp, metrics: ServiceMetrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting_status)
        finally:
            # Unknown paths share one label: clients must not be able to add labels.
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(time.perf_counter() - start)
