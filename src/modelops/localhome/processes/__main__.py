"""`python -m modelops.localhome.processes --state-dir DIR`: the process controller, by $KUBECONFIG."""

import os
import sys

from modelops.localhome.controllers import run_controller
from modelops.localhome.processes.controller import ProcessController

if __name__ == "__main__":
    sys.exit(run_controller(lambda client, state: ProcessController(client, state, dict(os.environ))))
