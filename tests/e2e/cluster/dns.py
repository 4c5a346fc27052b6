"""CoreDNS as a process of this machine, behind the Service that pods ask."""

from typing import Final

from modelops.adapters.cluster import KubeClient
from tests.e2e.cluster import layout, processes
from tests.e2e.cluster.control_plane import DNS_USER, ControlPlane
from tests.e2e.surroundings import here
from tests.support import go_programs
from tests.support.installed import CLUSTERROLE, CLUSTERROLEBINDING

_NAME: Final = "modelops-test-dns"


def start(place: layout.Layout, control: ControlPlane) -> None:
    """Start CoreDNS; it answers for the cluster's names only, so no pod waits for a name of the outside."""
    configuration = place.root / "Corefile"
    configuration.write_text(f"""\
.:53 {{
    bind {layout.HOST}
    errors
    kubernetes cluster.local {{
        kubeconfig {control.config_of(DNS_USER)}
        ttl 5
    }}
}}
""")
    program = go_programs.find("coredns")
    assert program is not None
    processes.start(place.root, [program, "-conf", str(configuration)], place.logs / "coredns.log")


def publish(client: KubeClient) -> None:
    """Give it its rights, and its Service."""
    rules = [
        {"apiGroups": [""], "resources": ["services", "namespaces", "pods", "endpoints"], "verbs": ["list", "watch"]},
        {"apiGroups": [here.SLICE.group], "resources": [here.SLICE.plural], "verbs": ["list", "watch"]},
    ]
    client.apply(CLUSTERROLE, {"metadata": {"name": _NAME}, "rules": rules})
    role = {"apiGroup": CLUSTERROLE.group, "kind": "ClusterRole", "name": _NAME}
    subjects = [{"apiGroup": CLUSTERROLE.group, "kind": "User", "name": DNS_USER}]
    client.apply(CLUSTERROLEBINDING, {"metadata": {"name": _NAME}, "roleRef": role, "subjects": subjects})
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    here.serve(client, "kube-system", "kube-dns", ports, host=layout.HOST, address=layout.DNS)
