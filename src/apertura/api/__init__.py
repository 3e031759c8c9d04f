"""JSON over HTTP: handlers of five to twenty lines."""
