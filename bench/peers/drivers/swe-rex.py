# Runs commands with SWE-ReX: python swe-rex.py execute|session|remote SANDBOXES. Speaks as driver.ts expects it.
import asyncio
import json
import logging
import secrets
import socket
import subprocess
import sys
import time

logging.disable(logging.CRITICAL)

from swerex import __version__
from swerex.runtime.abstract import BashAction, Command, CreateBashSessionRequest
from swerex.runtime.local import LocalRuntime

kind, sandboxes = sys.argv[1], int(sys.argv[2])
servers = []


def say(answer):
    print(json.dumps(answer), flush=True)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


async def start_remote():
    from swerex.runtime.remote import RemoteRuntime

    token = secrets.token_hex(16)
    port = free_port()
    program = [sys.executable, "-m", "swerex", "--host", "127.0.0.1", "--port", str(port), "--auth-token", token]
    servers.append(subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    runtime = RemoteRuntime(auth_token=token, host="http://127.0.0.1", port=port, timeout=60)
    await runtime.wait_until_alive(timeout=60)
    return runtime


async def start():
    if kind == "remote":
        # One by one: two that are started at once may be given one port.
        return [await start_remote() for _ in range(sandboxes)]
    runtime = LocalRuntime()
    if kind == "session":
        for at in range(sandboxes):
            await runtime.create_session(CreateBashSessionRequest(session=str(at)))
    return [runtime] * sandboxes


async def run(runtimes, command, sandbox):
    started_at = time.perf_counter()
    runtime = runtimes[sandbox]
    if kind == "session":
        observation = await runtime.run_in_session(BashAction(command=command, session=str(sandbox)))
        # The terminal and the way to the exit code leave blank lines around it.
        stdout, exit_code = observation.output.strip() + "\n", observation.exit_code
    else:
        response = await runtime.execute(Command(command=["/bin/bash", "-c", command]))
        stdout, exit_code = response.stdout, response.exit_code
    return {"stdout": stdout, "exitCode": exit_code, "elapsedMs": (time.perf_counter() - started_at) * 1000}


async def batch(runtimes, command, count, concurrency, expected):
    left = count

    async def work(sandbox):
        nonlocal left
        while left > 0:
            left -= 1
            ended = await run(runtimes, command, sandbox)
            if ended["stdout"] != expected or ended["exitCode"] != 0:
                raise RuntimeError(f"{command} gave {ended['stdout']!r} and exit code {ended['exitCode']}")

    started_at = time.perf_counter()
    await asyncio.gather(*(work(sandbox) for sandbox in range(concurrency)))
    return {"elapsedMs": (time.perf_counter() - started_at) * 1000}


async def main():
    try:
        runtimes = await start()
        say({"id": 0, "version": __version__})
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            request = json.loads(line)
            id, op = request.pop("id"), request.pop("op")
            try:
                answer = await {"run": run, "batch": batch}[op](runtimes, **request)
                say({"id": id, **answer})
            except Exception as error:
                say({"id": id, "error": f"{type(error).__name__}: {error}"})
    except Exception as error:
        say({"id": 0, "error": f"{type(error).__name__}: {error}"})
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            server.wait()


asyncio.run(main())
