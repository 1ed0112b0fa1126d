"""What runs inside the servers' own environments: the networks, and one small service each. Imports torch and safetensors."""
