"""The Kubernetes API of Modelscaler: its types, its words, and its CustomResourceDefinition."""

GROUP = "modelscaler.dev"
KIND = "ModelDeployment"
PLURAL = "modeldeployments"
PAUSED_ANNOTATION = f"{GROUP}/paused"
DEPLOYMENT_LABEL = f"{GROUP}/deployment"
POOL_LABEL = f"{GROUP}/pool"
ACTIVATOR = "activator"  # the value of POOL_LABEL that no pool has: a pool's has a hyphen
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "modelscaler"
POD_IP_VARIABLE = "POD_IP"
METRIC_LABELS_VARIABLE = "MODELSERVER_METRIC_LABELS"
TMP_VOLUME, TMP_DIRECTORY = "tmp", "/tmp"  # noqa: S108 - the mount makes it the pod's own
LADDER_VOLUME, LADDER_DIRECTORY = "ladder", "/run/modelscaler"
RESERVED_VOLUMES = (TMP_VOLUME, LADDER_VOLUME)
RESERVED_DIRECTORIES = (TMP_DIRECTORY, LADDER_DIRECTORY)
RESERVED_VARIABLES = frozenset({POD_IP_VARIABLE, METRIC_LABELS_VARIABLE})
