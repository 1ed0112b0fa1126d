"""One model on an accelerator and on the CPU, profiled as the operator's users do."""
