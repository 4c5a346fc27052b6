"""`modelops-step prepare|bring|train|evaluate|register`: read the environment, run one step, end with its exit code.

Called by the containers of Workflows. The only place of the steps that reads the environment. It must never show a
traceback for bad input or for something outside that is away, and never print a credential.
"""

import errno
import os
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from modelops.adapters.mlflow_login import Login
from modelops.adapters.mlflow_runs import MlflowRuns
from modelops.errors import ModelopsError, Stalled
from modelops.steps import context as contexts
from modelops.steps.own.places import Places

STEPS = ("prepare", "bring", "train", "evaluate", "register")
INIT = ("inputs", "code", "rows", "predict")
"""Run before a step in its pod. They never fail: they leave word to the main container, whose end is reported."""

_DISK: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO)


def main() -> None:
    """Run the step named by the first argument and exit with its code."""
    sys.exit(run(sys.argv[1:], dict(os.environ)))


def run(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Run one step and return its exit code: 0, 64 for bad input, 75 for something outside that is away, or 1."""
    outputs = contexts.Outputs(Path(environment.get("MODELOPS_ROOT", "/")))
    if len(arguments) != 1 or arguments[0] not in (*STEPS, *INIT):
        return _fail(outputs, f"usage: modelops-step {'|'.join((*STEPS, *INIT))}", contexts.BAD_INPUT)
    step = arguments[0]
    if step not in INIT:
        with suppress(OSError):  # what cannot be removed is met again where it is written
            outputs.clear()
    outputs.reserve_message()
    before = Places.of(outputs)
    if step in INIT and before.failed:
        return 0
    code, message = _attempt(step, outputs, environment)
    if code == 0:
        outputs.write_message("")
        return 0
    if step in INIT:
        try:
            before.fail(code, message)
        except OSError as error:
            # Nobody after this one could tell, so this one fails by itself.
            return _fail(outputs, f"{message} ({error.strerror})", code)
        print(message, file=sys.stderr)  # noqa: T201
        return 0
    return _fail(outputs, message, code)


def _attempt(step: str, outputs: contexts.Outputs, environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a step; return its exit code, and one line if that is not 0."""
    try:
        return _dispatch(step, outputs, environment)
    except contexts.BadInputError as error:
        return contexts.BAD_INPUT, f"{step}: {error}"
    except contexts.StepFailedError as error:
        return 1, f"{step}: {error}"
    except Stalled as error:
        return contexts.BAD_INPUT, f"{step}: {error.message}"
    except ModelopsError as error:
        return contexts.UNAVAILABLE, f"{step}: {error.message}"
    except MemoryError:
        return 1, f"{step}: out of memory; give the step more"
    except OSError as error:
        if error.errno not in _DISK:
            raise
        return contexts.UNAVAILABLE, f"{step}: {error.filename or 'scratch'}: {error.strerror}; mend or free the disk"
    except BaseException:
        # A bug: the log needs the traceback, the message file needs one line.
        traceback.print_exc()
        _fail(outputs, f"{step}: internal error, see the step's log: {sys.exception()!r}", 1)
        raise


def _dispatch(step: str, outputs: contexts.Outputs, environment: Mapping[str, str]) -> tuple[int, str]:
    text = _required(environment, "MODELOPS_STEP")
    places = Places.of(outputs)
    if step == "code":
        from modelops.steps.own import code  # noqa: PLC0415

        return code.run(contexts.parse_training(text), places, environment)
    if step == "predict":
        from modelops.steps.own import predict  # noqa: PLC0415

        predict.ask(places, environment)
        return 0, ""
    context = contexts.Context(
        mlflow=MlflowRuns(
            _required(environment, "MLFLOW_TRACKING_URI"),
            Login(
                username=environment.get("MLFLOW_TRACKING_USERNAME", ""),
                password=environment.get("MLFLOW_TRACKING_PASSWORD", ""),
                token=environment.get("MLFLOW_TRACKING_TOKEN", ""),
            ),
        ),
        outputs=outputs,
        now=datetime.now(UTC),
        run_id=environment.get("MODELOPS_RUN_ID", ""),
        evaluation=environment.get("MODELOPS_EVALUATION", ""),
    )
    workflow = environment.get("MODELOPS_WORKFLOW_UID", "")
    # Each step imports what only it needs: torch alone takes longer than registering a version.
    match step:
        case "prepare":
            from modelops.steps import fetch, prepare  # noqa: PLC0415

            parsed = contexts.parse_prepare(text)
            prepare.prepare(parsed, context, fetch.fetch_source(parsed.git, outputs, environment))
        case "train":
            from modelops.steps import train  # noqa: PLC0415

            train.train(contexts.parse_training(text, workflow), context)
        case "evaluate":
            from modelops.steps import evaluate  # noqa: PLC0415

            evaluate.evaluate(contexts.parse_training(text, workflow), context)
        case "inputs" | "bring":
            from modelops.steps import fetch  # noqa: PLC0415
            from modelops.steps.own import inputs  # noqa: PLC0415

            training = contexts.parse_training(text, workflow)
            url = training.code.url if training.code is not None else ""
            inputs.bring(training, context, lambda private: fetch.open_repository(url, private, environment))
        case "rows":
            from modelops.steps.own import rows  # noqa: PLC0415

            rows.bring(contexts.parse_training(text, workflow), context)
        case _:
            from modelops.steps import register  # noqa: PLC0415

            register.register(contexts.parse_training(text, workflow), context)
    return 0, ""


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        raise contexts.BadInputError(f"{name} is not set; a step is started by the operator's Workflow, which sets it")
    return value


def _fail(outputs: contexts.Outputs, message: str, code: int) -> int:
    line = " ".join(message.split())
    while len(line.encode()) > contexts.MAX_MESSAGE:
        line = line[: len(line) - 8].rstrip() + "…"
    with suppress(OSError):  # the log may lie on the disk that is full
        print(line, file=sys.stderr, flush=True)  # noqa: T201
    outputs.write_message(line)
    return code


if __name__ == "__main__":
    main()
