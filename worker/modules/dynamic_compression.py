"""DynamicCompressionModule: what applications answer goes out compressed, by `dynamicTypes`.

At RQ_SEND_RESPONSE, after whoever changes bodies there; with dynamicCompressionBeforeCache at the
post-event of RELEASE_REQUEST_STATE, so that the output cache keeps the compressed form. A response
that is there as a whole keeps its length and stays one message. One that is flushed piece by piece
is compressed piece by piece: each flush reaches the client with everything written before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.chunks import close_files, size_of
from was.worker.compression.body_encoding import encode_body, encode_piece
from was.worker.compression.content_coding import (
    VARY,
    VARY_BLOCK,
    Chooser,
    Clients,
    TypeTable,
    coded_fields,
    with_vary,
)
from was.worker.compression.cpu_gate import CpuGate
from was.worker.compression.encoders import codings
from was.worker.notifications import CONTINUE, RequestNotification, RequestNotificationStatus

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.compression.encoders import Coding, Encoder
    from was.worker.interfaces.context import HttpContext
    from was.worker.interfaces.response import HttpResponse

# What has no body, and parts, whose coded form would be a part of something else.
_NEVER = frozenset({204, 205, 206})


class _Stream:
    """The encoder of a response that is on its way."""

    __slots__ = ("encoder",)

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    def cleanup_stored_context(self) -> None:
        """The request is over: nothing to give back."""


class DynamicCompression(HttpModule):
    """The compression of one application's answers."""

    def __init__(
        self, application: HttpApplication, chooser: Chooser[Coding], module_id: int
    ) -> None:
        settings = application.settings.http_compression
        self._types = TypeTable(settings.dynamic_types)
        self._chooser = chooser
        self._id = module_id
        self._clients = Clients(settings)
        self._memory_bytes = settings.dynamic_compression_buffer_limit
        self._gate = CpuGate(
            settings.dynamic_compression_disable_cpu_usage,
            settings.dynamic_compression_enable_cpu_usage,
        )

    def on_send_response(
        self, context: HttpContext, provider: HttpResponse
    ) -> RequestNotificationStatus:
        """Compress what is about to leave."""
        response = context.response
        if not response.headers_being_sent:
            stream = context.module_context_container.get_module_context(self._id)
            if isinstance(stream, _Stream):
                self._encode_piece(response, stream.encoder)
            return CONTINUE
        coding = self._decide(context, response)
        if coding is None:
            return CONTINUE
        if context.method == "HEAD":
            # A length would be that of the coded body (RFC 9110 8.6), which nobody has made.
            response.discard_body()
            return CONTINUE
        if response.ready_to_log_data:
            self._encode_whole(response, coding)
            return CONTINUE
        stream = _Stream(coding.encoder())
        context.module_context_container.set_module_context(stream, self._id)
        self._set_fields(response, coding)
        response.content_length = -1
        self._encode_piece(response, stream.encoder)
        return CONTINUE

    def _decide(self, context: HttpContext, response: HttpResponse) -> Coding | None:
        """The coding of this response; says in its fields that it depends on the client."""
        if not 200 <= response.status < 300 or response.status in _NEVER:
            return None
        if context.served_file is not None:  # StaticCompressionModule's
            return None
        media_type = ""
        varies: list[str] = []
        for name, value in response.fields:
            lower = name.lower()
            if lower == "content-type":
                media_type = value
            elif lower == "vary":
                varies.append(value)
            elif lower == "content-encoding" or (
                lower == "cache-control" and "no-transform" in value.lower()
            ):
                return None
        if not self._types.is_compressed(media_type):
            return None
        if not varies:
            response.add_encoded_fields(VARY, VARY_BLOCK)
        elif (vary := with_vary(varies)) != varies[0]:
            response.set_header("Vary", vary)
        accepted = self._clients.accepted(context.message.version, context.fields)
        if not accepted:
            return None
        coding = self._chooser.choose(accepted)
        return coding if coding is not None and self._gate.is_open() else None

    def _encode_whole(self, response: HttpResponse, coding: Coding) -> None:
        before = response.buffered_bytes()
        if 0 <= response.content_length != before:  # declared, and not what is there
            return
        body = encode_body(response.chunks, coding.encoder(), self._memory_bytes)
        if size_of(body) >= before:
            close_files(body)
            return
        response.discard_body()
        response.chunks += body
        self._set_fields(response, coding)

    def _encode_piece(self, response: HttpResponse, encoder: Encoder) -> None:
        is_last = response.ready_to_log_data
        body = encode_piece(response.chunks, encoder, self._memory_bytes, is_last=is_last)
        response.discard_body()
        response.chunks += body

    def _set_fields(self, response: HttpResponse, coding: Coding) -> None:
        response.replace_fields(
            coded_fields(response.fields, coding.name, self._clients.cache_fields)
        )


class DynamicCompressionBeforeCache(DynamicCompression):
    """The same, where the output cache is to keep the compressed form."""

    def on_post_release_request_state(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Compress a response that is there as a whole; a flushed one is on its way already."""
        response = context.response
        if not context.exchange.started and response.chunks and context.method != "HEAD":
            coding = self._decide(context, response)
            if coding is not None:
                self._encode_whole(response, coding)
        return CONTINUE


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to SEND_RESPONSE and the post-event of RELEASE_REQUEST_STATE."""

    def make(application: HttpApplication) -> HttpModule:
        settings = application.settings
        usable = codings(settings.http_compression.schemes, is_static=False)
        if (
            not settings.url_compression.do_dynamic_compression
            or not usable
            or not TypeTable(settings.http_compression.dynamic_types).has_any()
        ):
            return HttpModule()
        kind = DynamicCompression
        if settings.url_compression.dynamic_compression_before_cache:
            kind = DynamicCompressionBeforeCache
        return kind(application, Chooser(usable), registration_info.id)

    registration_info.set_request_notifications(
        ApplicationModuleFactory(make),
        RequestNotification.SEND_RESPONSE,
        RequestNotification.RELEASE_REQUEST_STATE,
    )
