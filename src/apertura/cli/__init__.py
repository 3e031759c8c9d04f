"""The operator's hands: the commands of `apertura`."""
