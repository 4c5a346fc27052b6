"""`python -m modelops.localhome.apiserver`: serve the API of the local home on loopback. Started by the supervisor."""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

import yaml
from aiohttp import web

from modelops.localhome.apiserver import identity
from modelops.localhome.apiserver.answers import ApiError, Obj
from modelops.localhome.apiserver.store import Store, StoreRefused
from modelops.localhome.apiserver.web import Server

LOGGER = logging.getLogger("modelops.localhome.apiserver")


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m modelops.localhome.apiserver", description=__doc__)
    parser.add_argument("--db", type=Path, required=True, help="the SQLite file; made if it is not there")
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--crds", type=Path, required=True, help="directory with CustomResourceDefinitions")
    parser.add_argument("--token-file", type=Path, help="bearer token; made if it is not there (default: DB.token)")
    parser.add_argument(
        "--kubeconfig", type=Path, help="where to write the kubeconfig for this server, context `local`"
    )
    return parser.parse_args(argv)


def read_definitions(directory: Path) -> list[Obj]:
    """Return the CustomResourceDefinitions in the YAML files of a directory.

    Raises:
        ValueError: a file is not YAML, or holds something else.
    """
    found: list[Obj] = []
    if not directory.is_dir():
        msg = f"{directory}: no such directory; --crds names one with CustomResourceDefinitions"
        raise ValueError(msg)
    for path in sorted(directory.glob("*.yaml")):
        try:
            documents = list(yaml.load_all(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))
        except yaml.YAMLError as error:
            msg = f"{path}: not YAML: {str(error).splitlines()[0]}"
            raise ValueError(msg) from error
        for document in documents:
            if document is None:
                continue
            if not isinstance(document, dict) or document.get("kind") != "CustomResourceDefinition":
                msg = f"{path}: not a CustomResourceDefinition; keep other manifests elsewhere"
                raise ValueError(msg)
            found.append(document)
    return found


async def _serve(arguments: argparse.Namespace) -> None:
    definitions = read_definitions(arguments.crds)
    beside = arguments.db.with_name
    token = identity.ensure_token(arguments.token_file or beside(arguments.db.name + ".token"))
    certificate = identity.ensure_certificate(beside(arguments.db.name + ".pem"))
    store = Store(arguments.db)
    try:
        server = Server(store, definitions, token)
        runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", arguments.port, ssl_context=identity.tls(certificate))
        await site.start()
        stop = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        port = runner.addresses[0][1]
        if arguments.kubeconfig:
            identity.write_kubeconfig(arguments.kubeconfig, certificate, token, port)
        print(f"serving on https://127.0.0.1:{port}", flush=True)  # noqa: T201 - the supervisor reads it
        await stop.wait()
        server.closing.set()
        await runner.cleanup()
    finally:
        store.close()


def main(argv: list[str] | None = None) -> int:
    """Serve until told to stop; return the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    arguments = _arguments(argv)
    try:
        asyncio.run(_serve(arguments))
    except (StoreRefused, ValueError, ApiError, OSError) as error:
        LOGGER.error("%s", error)  # noqa: TRY400 - one line for people
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
