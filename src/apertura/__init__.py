"""Apertura: one key, one OpenAI-compatible API, one exact bill, many providers of models."""

from __future__ import annotations

__version__ = "0.1.0"
