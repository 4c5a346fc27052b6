"""`python -m modelops.localhome.engine --state-dir DIR`: the workflow engine, by $KUBECONFIG."""

import os
import sys

from modelops.localhome.controllers import run_controller
from modelops.localhome.engine.controller import EngineController

if __name__ == "__main__":
    sys.exit(run_controller(lambda client, state: EngineController(client, state, dict(os.environ))))
