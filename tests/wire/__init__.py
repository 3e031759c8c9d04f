"""The wire formats. transcripts/ has what providers really sent: `llamacpp-*` was recorded from
llama.cpp's server with SmolLM2, `written-*` was written by hand after the published formats."""
