"""`python -m modelops.localhome.gateway --state-dir DIR`: the gateway controller, by $KUBECONFIG."""

import sys

from modelops.localhome.controllers import run_controller
from modelops.localhome.gateway.controller import GatewayController

if __name__ == "__main__":
    sys.exit(run_controller(GatewayController))
