"""The data plane: the only place where the pure parts meet the network."""
