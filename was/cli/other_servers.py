"""Options that people type who know another server, and what does here what they want.

None is accepted: what would not be done must not look as if it were.
"""

from __future__ import annotations

import click

__all__ = ["HINTS", "CommandOfOtherServers", "ServerCommand"]

_HOME = "`was init` makes a home, in whose config/applicationHost.config"

_HINT_OF: dict[str, str] = {
    "--host --port --listen -p --http-socket -s --socket": "write --bind [HOST:]PORT",
    "--http": "write --bind [HOST:]PORT for the address, --engine for the parser",
    "--uds --unix-socket": "Unix sockets are not served: write --bind [HOST:]PORT",
    "--fd": "a home takes systemd's sockets, `was install` writes the units; else write --bind",
    "--https --ssl --certfile --keyfile --ca-certs --ciphers --ssl-certfile --ssl-keyfile"
    " --ssl-keyfile-password --ssl-version --ssl-cert-reqs --ssl-ca-certs --ssl-ciphers"
    " --do-handshake-on-connect --insecure-bind --quic-bind": "TLS is left to a proxy in front",
    "-c --config --ini --yaml --xml --json --env-file --paste --print-config --check-config"
    "": f"there is no file of options; {_HOME} all is said",
    "-D --daemon --daemonize -d --pid --pidfile --vacuum --die-on-term --master -M --no-orphans"
    " --emperor": "a server that stays is a home: `was init`, then `was start --detach` or"
    " `was install`; this one has a manager always, and leaves nothing behind",
    "-t --timeout --harakiri --http-timeout --socket-timeout --channel-timeout": f"{_HOME}"
    ' <requests timeLimit="00:01:50"> of the pool says it',
    "--graceful-timeout --timeout-graceful-shutdown --worker-reload-mercy"
    " --reload-mercy": f'{_HOME} <processModel shutdownTimeLimit="00:01:30"> of the pool says it',
    "--max-requests --max-requests-jitter --limit-max-requests --max-worker-lifetime"
    " --reload-on-rss": f"{_HOME} <recycling><periodicRestart requests=… privateMemory=… time=…>"
    " of the pool says it",
    "--keep-alive --keepalive --timeout-keep-alive --http-keepalive": f"{_HOME}"
    ' <webLimits connectionTimeout="00:02:00"> says it',
    "--backlog --listen-backlog --limit-concurrency --worker-connections --connection-limit"
    " --max-fd": f"{_HOME} the pool's queueLength and <python threads=… concurrency=…> say it",
    "--limit-request-line --limit-request-fields --limit-request-field_size"
    " --max-request-body-size --max-request-header-size --buffer-size --post-buffering"
    " --h11-max-incomplete-event-size --limit-post": f"{_HOME} <requestFiltering><requestLimits>"
    " says it",
    "--root-path --url-prefix --mount --prefix": f'{_HOME} <application path="/shop"> says it',
    "--proxy-headers --no-proxy-headers --forwarded-allow-ips --proxy-protocol"
    " --proxy-allow-from --trusted-proxy --trusted-proxy-headers": "the application is given"
    " X-Forwarded-* as they came: its framework has a middleware that believes them",
    "--preload --lazy --lazy-apps": "each worker loads the application itself, so"
    " that a new one has new code",
    "-k --worker-class --loop --gevent --asyncio --async": "WSGI runs on threads,"
    " ASGI on one event loop, uvloop where it is installed: --interface says which it is",
    "--enable-threads --thunder-lock --single-interpreter --need-app --py-call-osafterfork"
    " --worker-tmp-dir --reuse-port --no-reuse-port --plugin --plugins": "it is not needed",
    "--factory": "write MODULE:FACTORY()",
    "--module --wsgi-file --file --wsgi --callable --app": "write MODULE:CALLABLE, without an"
    " option",
    "--chdir --pythonpath --python-path --pp": "write --app-dir DIRECTORY, or go there first",
    "--home": "it has a home of its own, which ends with it",
    "-H --virtualenv --venv --pyhome": "run the `was` of that environment",
    "-e --env --raw-env": "the application has this command's environment: NAME=VALUE was run …",
    "-u --user -g --group --uid --gid -m --umask": f"{_HOME} <processModel identityType=…>"
    " of the pool says it",
    "--static-map --static-path-mount --check-static": f"{_HOME} <virtualDirectory> says it",
    "--reload-dir --reload-dirs --reload-include --reload-exclude --reload-engine"
    " --reload-extra-file --py-autoreload --python-autoreload --autoreload": "write --reload: it"
    " looks at the modules that the application has imported",
    "--access-logfile --access-logformat --access-log-format --logto --req-logger": "write"
    " --access-log: lines of W3C form, on the terminal",
    "--no-access-log --disable-logging --disable-redirect-access-to-syslog": "without"
    " --access-log there is none",
    "--log-level --log-file --error-logfile --log-config --log-config-json --capture-output"
    " --use-colors --no-use-colors --logger": "what the application says is on the terminal as it"
    " is; its own logging says how much",
    "--ws --ws-max-size --ws-max-queue --ws-ping-interval --ws-ping-timeout"
    " --ws-per-message-deflate --http-websockets": f"WebSockets are served; {_HOME}"
    " <webSocket> says how",
    "--lifespan": "an ASGI application's lifespan is run where it has one",
    "--header --server-header --no-server-header --date-header --no-date-header": f"{_HOME}"
    " <httpProtocol><customHeaders> says it",
    "-n --name --proc-name --procname": "the processes are named by the home's folder",
    "--stats --statsd-host": "`was list wps` and `was list requests` say it of a home",
}

# option -> what to do
HINTS = {name: hint for names, hint in _HINT_OF.items() for name in names.split()}

_FILE = "config/applicationHost.config"
# The same of `was start` and `was stop`.
_OF_A_SERVER: dict[str, str] = {
    "-d -D --daemon --daemonize --background --fork": "write --detach",
    "-b --bind -p --port --host --listen": f"addresses are the bindings of sites in {_FILE}",
    "-w --workers --processes": f'<processModel maxProcesses="4" /> of a pool in {_FILE} says it',
    "--threads": f'<python threads="32" /> of a pool in {_FILE} says it',
    "--reload": f'<python reloadOnChange="true" /> of a pool in {_FILE} says it',
    "-f --force --fast --kill -9": "write --now",
    "-c --config": "write --home DIR: the configuration is in its folder config",
}
_SERVER_HINTS = {name: hint for names, hint in _OF_A_SERVER.items() for name in names.split()}


class CommandOfOtherServers(click.Command):
    """A command that says of an option which another server has what does it here."""

    hints = HINTS

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, but for the words when there is no such option."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            hint = self.hints.get(error.option_name)
            if hint is None:
                raise
            raise click.UsageError(f"No such option '{error.option_name}': {hint}.", ctx) from None


class ServerCommand(CommandOfOtherServers):
    """The same for the server of a home."""

    hints = _SERVER_HINTS
