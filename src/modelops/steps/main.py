"""`modelops-step prepare|train|evaluate|register`: read the environment, run one step, end with its exit code.

Called by the containers of Workflows. The only place of the steps that reads the environment. It must never show a
traceback for bad input or for something outside that is away, and never print a credential.
"""

import os
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from modelops.adapters.mlflow_runs import Credentials, MlflowRuns
from modelops.errors import ModelopsError, Stalled
from modelops.steps import context as contexts

STEPS = ("prepare", "train", "evaluate", "register")


def main() -> None:
    """Run the step named by the first argument and exit with its code."""
    sys.exit(run(sys.argv[1:], dict(os.environ)))


def run(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Run one step and return its exit code: 0, 64 for bad input, 75 for something outside that is away, or 1."""
    outputs = contexts.Outputs(Path(environment.get("MODELOPS_ROOT", "/")))
    if len(arguments) != 1 or arguments[0] not in STEPS:
        return _fail(outputs, f"usage: modelops-step {'|'.join(STEPS)}", contexts.BAD_INPUT)
    try:
        _dispatch(arguments[0], outputs, environment)
    except contexts.BadInputError as error:
        return _fail(outputs, f"{arguments[0]}: {error}", contexts.BAD_INPUT)
    except Stalled as error:
        return _fail(outputs, f"{arguments[0]}: {error.message}", contexts.BAD_INPUT)
    except ModelopsError as error:
        return _fail(outputs, f"{arguments[0]}: {error.message}", contexts.UNAVAILABLE)
    except MemoryError:
        return _fail(outputs, f"{arguments[0]}: out of memory; give the step more", 1)
    except BaseException:
        # A bug: the log needs the traceback, the message file needs one line.
        traceback.print_exc()
        _fail(outputs, f"{arguments[0]}: internal error, see the step's log: {sys.exception()!r}", 1)
        raise
    return 0


def _dispatch(step: str, outputs: contexts.Outputs, environment: Mapping[str, str]) -> None:
    text = _required(environment, "MODELOPS_STEP")
    context = contexts.Context(
        mlflow=MlflowRuns(
            _required(environment, "MLFLOW_TRACKING_URI"),
            Credentials(
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
        case _:
            from modelops.steps import register  # noqa: PLC0415

            register.register(contexts.parse_training(text, workflow), context)


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        raise contexts.BadInputError(f"{name} is not set; a step is started by the operator's Workflow, which sets it")
    return value


def _fail(outputs: contexts.Outputs, message: str, code: int) -> int:
    line = " ".join(message.split())
    while len(line.encode()) > contexts.MAX_MESSAGE:
        line = line[: len(line) - 8].rstrip() + "…"
    print(line, file=sys.stderr)  # noqa: T201
    outputs.write("message", line)
    return code


if __name__ == "__main__":
    main()
