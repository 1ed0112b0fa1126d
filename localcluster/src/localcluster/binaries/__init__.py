"""The programs the cluster is made of: found on the machine, or built once into the cache."""
