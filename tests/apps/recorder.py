"""A global module that writes down every GL_ event, one line each, and does what a note asks.

Lines go to `data/events` beside the application: `pid event detail`. A file `data/on-EVENT` names a
method of Deeds that runs within that event.
"""

import os
import threading
import time
from pathlib import Path

from was.api import GL_CONTINUE, GL_HANDLED, GlobalModule, GlobalNotification

DATA = Path(__file__).resolve().parent / "data"
ALL = sum(GlobalNotification)


def note(event, detail=""):
    line = f"{os.getpid()} {event} {detail}".strip() + "\n"
    fd = os.open(DATA / "events", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(fd, line.encode())
    finally:
        os.close(fd)


class Stored:
    def __init__(self, name):
        self.name = name

    def cleanup_stored_context(self):
        note("cleanup", self.name)


class Awake:
    def resume(self):
        note("resumed")


class Recorder(GlobalModule):
    def __init__(self, info, server):
        self.id = info.id
        self.server = server
        self.monitor = None

    def on_global_application_start(self, provider):
        application = provider.application
        note("application_start", application.config_path)
        application.module_context_container.set_module_context(Stored("application"), self.id)
        if application.site.module_context_container.get_module_context(self.id) is None:
            application.site.module_context_container.set_module_context(Stored("site"), self.id)
        if self.monitor is None:
            self.monitor = self.server.register_file_change_monitor(str(DATA / "watched"))
            self.monitor.module_context_container.set_module_context(Stored("monitor"), self.id)
        return GL_CONTINUE

    def on_global_application_resolve_modules(self, provider):
        note("application_resolve_modules", provider.application.path)

    def on_global_application_preload(self, provider):
        context = provider.create_context()
        context.request.set_url("/preloaded?by=module")
        status = provider.execute_request(context)
        note("application_preload", f"{status} {provider.is_process_recycled()}")

    def on_global_application_stop(self, provider):
        note("application_stop", provider.application.config_path)

    def on_global_stop_listening(self, provider):
        note("stop_listening", provider.drain_requests_gracefully())

    def on_global_configuration_change(self, provider):
        note("configuration_change", provider.change_path)

    def on_global_file_change(self, provider):
        note("file_change", f"{provider.file_name} {provider.file_monitor is self.monitor}")

    def on_global_health_check(self, provider):
        note("health_check")
        if (DATA / "sick").exists():
            self.server.report_unhealthy("I feel sick", 0x80004005)

    def on_global_cache_cleanup(self, provider):
        note("cache_cleanup")

    def on_global_rsca_query(self, provider):
        note("rsca_query", f"{provider.function_name} {provider.function_parameters}")
        if provider.function_name != "ECHO":
            return GL_CONTINUE
        data = provider.function_parameters.upper().encode()
        provider.get_output_buffer(len(data))[: len(data)] = data
        provider.set_result(len(data))
        return GL_HANDLED

    def on_global_pre_begin_request(self, provider):
        note("pre_begin_request", provider.http_context.path)

    def on_global_thread_cleanup(self, provider):
        note("thread_cleanup", f"{provider.application.path} {threading.current_thread().name}")

    def on_suspend_process(self, provider):
        note("suspend")
        while (DATA / "hold").exists():
            time.sleep(0.005)
        provider.set_callback(Awake())

    def on_global_cache_operation(self, provider):
        return GL_CONTINUE

    def on_global_trace_event(self, provider):
        return GL_CONTINUE

    def on_global_custom_notification(self, provider):
        note("custom_notification", provider.query_notification_type())

    def terminate(self):
        note("terminate")


def register_module(server_version, registration_info, http_server):
    registration_info.set_global_notifications(Recorder(registration_info, http_server), ALL)
