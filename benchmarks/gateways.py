"""The gateways that are measured: how each is set up and started, always on the gateway's core.

Not the measuring. The rule that keeps it honest: each gateway runs as its operator would run it,
with logs at their usual level or off, and with whatever it does for each call (keys, limits, money)
switched on.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes import Failed, Group

MODELS = ("mock", "mock-d20", "mock-n20-d100", "mock-l500")

NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream provider {{
    server 127.0.0.1:{upstream}; keepalive 2048; keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096; keepalive_requests 1000000000;
    client_max_body_size 64m; client_body_buffer_size 64k;
    location / {{
      proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection "";
    }}
  }}
}}
"""

PROVIDER = """
[[providers]]
name = "upstream"
dialect = "openai_chat"
base_url = "http://127.0.0.1:{upstream}/v1"
api_key = "bench"
keepalive = true
"""

OFFER = """
[[offers]]
model = "{model}"
provider = "upstream"
input_usd_per_million = "2.50"
output_usd_per_million = "10.00"
"""


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """Something that answers calls. `model` may hold {mock}, which stands for a mock model."""

    name: str
    port: int
    key: str
    group: Group
    model: str = "{mock}"
    is_upstream: bool = False  # the direct line: nothing to pause, no ratio

    def check(self) -> None:
        """Make one call; raise Failed with the answer unless it is 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        message = [{"role": "user", "content": "Hello"}]
        body = json.dumps({"model": self.model.replace("{mock}", "mock"), "messages": message})
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        try:
            connection.request("POST", "/v1/chat/completions", body, headers)
            reply = connection.getresponse()
            text = reply.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"{self.name} does not answer: {error}\n{self.group.log_end()}") from None
        finally:
            connection.close()
        if reply.status != 200:
            raise Failed(f"{self.name} answers {reply.status}: {text[:800]}")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_nginx(folder: Path, core: int, upstream: int) -> Gateway:
    """Plain `proxy_pass` with one worker and kept-alive connections: the practical limit."""
    port, config = free_port(), folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, upstream=upstream))
    command = _on(core, "nginx", "-p", str(folder), "-c", str(config), "-e", "stderr")
    group = Group("nginx", command, folder / "nginx.log")
    group.wait_until_it_listens(port)
    return Gateway(name="nginx", port=port, key="bench", group=group)


def start_apertura(
    program: Path, folder: Path, core: int, upstream: int, top_up_usd: int
) -> Gateway:
    """Apertura with a fresh database, one organization with money, one key, and limits that count
    each call but never refuse one.
    """
    data, config, port = folder / "apertura", folder / "bench.toml", free_port()
    data.mkdir()
    offers = (OFFER.format(model=model) for model in MODELS)
    config.write_text(PROVIDER.format(upstream=upstream) + "".join(offers))
    env = _apertura_environment(data, config)
    _apertura(program, env, "migrate")
    organization = _apertura_json(program, env, "orgs", "create", "bench", "--json")["id"]
    _apertura(program, env, "orgs", "top-up", organization, str(top_up_usd), "--reference", "bench")
    options = ("--org", organization, "--name", "bench", "--json")
    key = _apertura_json(program, env, "keys", "create", *options)["key"]
    serve = ("serve", "--port", str(port), "--config", str(config), "--data", str(data))
    group = Group("apertura", _on(core, str(program), *serve), folder / "apertura.log", env)
    group.wait_until_it_listens(port)
    return Gateway(name="apertura", port=port, key=key, group=group)


def start_other(target: list[str], folder: Path, core: int, upstream: int) -> Gateway:
    """Any gateway, from NAME PORT KEY MODEL COMMAND; {upstream} in COMMAND is the mock's port."""
    name, port, key, model, command = target
    shell = _on(core, "sh", "-c", command.replace("{upstream}", str(upstream)))
    group = Group(name, shell, folder / f"{name}.log")
    group.wait_until_it_listens(int(port))
    return Gateway(name=name, port=int(port), key=key, model=model, group=group)


def _on(core: int, *command: str) -> list[str]:
    return ["taskset", "-c", str(core), *command]


def _apertura_environment(data: Path, config: Path) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("APERTURA_")}
    return inherited | {
        "APERTURA_SECRET": secrets.token_hex(32),
        "APERTURA_DATA": str(data),
        "APERTURA_CONFIG": str(config),
        "APERTURA_WORKERS": "1",
        "APERTURA_LIMIT_PER_ADDRESS": "100000000/60",
        "APERTURA_LIMIT_PER_KEY": "100000000/60",
        "APERTURA_LIMIT_PER_MODEL": "100000000/60",
    }


def _apertura(program: Path, env: Mapping[str, str], *arguments: str) -> str:
    command = [str(program), *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        told = (done.stderr or done.stdout)[-2000:].strip()
        raise Failed(f"`apertura {' '.join(arguments)}` failed:\n{told}")
    return done.stdout


def _apertura_json(program: Path, env: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    told = _apertura(program, env, *arguments)
    try:
        answer: dict[str, Any] = json.loads(told)
    except ValueError:
        raise Failed(f"`apertura {' '.join(arguments)}` printed no JSON: {told[:800]}") from None
    return answer
