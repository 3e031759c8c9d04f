"""What a model is called, from what its hosts call it; who made it, and how pages show it.

Hosts of open weights name the same model in their own ways (`meta-llama/Llama-3.3-70B-Instruct`,
`llama-v3p3-70b-instruct`). The catalogue has one id for it, in small letters and without the maker;
the name with the maker becomes an alias.

The rule that keeps it honest: a model without a known maker stops the script.
"""

from __future__ import annotations

import re

SAME = {
    "gemma-4-31b": "gemma-4-31b-it",
    "llama-4-maverick-17b-instruct": "llama-4-maverick-17b-128e-instruct",
    "llama-4-scout-17b-instruct": "llama-4-scout-17b-16e-instruct",
    "llama-3.3-70b": "llama-3.3-70b-instruct",
    "llama-3.1-8b": "llama-3.1-8b-instruct",
    "llama-3.1-70b": "llama-3.1-70b-instruct",
    "kimi-k2-0905": "kimi-k2-instruct-0905",
    "kimi-k2": "kimi-k2-instruct",
    "deepseek_v3": "deepseek-v3",
    "deepseek-r1-0528-qwen3-8b": "deepseek-r1-0528-distill-qwen3-8b",
    "mistral-nemo": "mistral-nemo-instruct-2407",
    "qwen-2.5-72b-instruct": "qwen2.5-72b-instruct",
    "qwen-3-32b": "qwen3-32b",
    "qwen-3.8-27b": "qwen3.8-27b",
    "qwen3-235b-a22b-2507": "qwen3-235b-a22b-instruct-2507",
    "qwen3-coder-480b-a35b": "qwen3-coder-480b-a35b-instruct",
    "qwen3-coder-30b-a3b": "qwen3-coder-30b-a3b-instruct",
    "qwen3-next-80b-a3b": "qwen3-next-80b-a3b-instruct",
    "qwen3-vl-235b-a22b": "qwen3-vl-235b-a22b-instruct",
    "nemotron-3-ultra": "nemotron-3-ultra-550b-a55b",
    "nemotron-super-3-120b": "nemotron-3-super-120b-a12b",
    "nemotron-nano-3-30b": "nemotron-3-nano-30b-a3b",
    "nemotron-3.5-lightning": "nemotron-3.5-lightning-30b-a3b",
    "nemotron-3.5-super-vl": "nemotron-3.5-super-vl-120b-a12b",
    "muse-spark-open-816b-a42b": "muse-spark-open",
    "beam-1.0-501b-a23b": "beam-1.0",
    "beam": "beam-1.0",
    "mistral-large-3-675b-instruct": "mistral-large-2512",
    "mistral-large-3": "mistral-large-2512",
    "mistral-medium-3.5-128b": "mistral-medium-3.5",
    "mistral-medium-3-5": "mistral-medium-3.5",
    "ministral-3-14b-instruct": "ministral-14b-2512",
    "ministral-3-8b-instruct": "ministral-8b-2512",
    "ministral-3-3b-instruct": "ministral-3b-2512",
    "ministral-3-14b-instruct-2512": "ministral-14b-2512",
    "ministral-3-14b-2512": "ministral-14b-2512",
    "ministral-3-8b-2512": "ministral-8b-2512",
    "ministral-3-3b-2512": "ministral-3b-2512",
    "devstral-2512": "devstral-2-123b-instruct-2512",
    "devstral-2-123b": "devstral-2-123b-instruct-2512",
    "zai-glm-5-2": "glm-5.2",
    "zai-glm-5-3": "glm-5.3",
    "zai-glm-5-3-flash": "glm-5.3-flash",
    "zai-glm-5": "glm-5",
    "deepseek-v4-1-flash-1017": "deepseek-v4.1-flash-1017",
    "deepseek-v4.1-flash-260910": "deepseek-v4.1-flash",
    "glm-4-32b-0414-128k": "glm-4-32b-0414",
    "mixtral-8x22b-instruct": "mixtral-8x22b-instruct-v0.1",
    "l3-lunaris-8b": "l3-8b-lunaris",
    "l31-70b-euryale-v2.2": "l3.1-70b-euryale-v2.2",
    "mistral-small-3.2-24b-instruct": "mistral-small-3.2-24b-instruct-2506",
    "r1": "deepseek-r1",
    "v3": "deepseek-v3.1",
    "v3.2": "deepseek-v3.2",
    "deepseek.v3": "deepseek-v3",
    "gpt-oss-120b-1": "gpt-oss-120b",
    "gpt-oss-20b-1": "gpt-oss-20b",
    "nemotron-nano-12b": "nemotron-nano-12b-v2",
    "nemotron-nano-9b": "nemotron-nano-9b-v2",
    "pixtral-large": "pixtral-large-2502",
    "grok-4-20-reasoning": "grok-4.20-reasoning",
    "grok-4-20-non-reasoning": "grok-4.20-non-reasoning",
    "grok-4-1-fast-reasoning": "grok-4.1-fast-reasoning",
    "grok-4-1-fast-non-reasoning": "grok-4.1-fast-non-reasoning",
    "jamba-1-5-large": "jamba-1.5-large",
    "jamba-1-5-mini": "jamba-1.5-mini",
    "mistral-7b-instruct": "mistral-7b-instruct-v0.2",
    "mixtral-8x7b-instruct": "mixtral-8x7b-instruct-v0.1",
    "nemotron-3-120b-a12b": "nemotron-3-super-120b-a12b",
}
"""Names that hosts have for what is one model. Left: as `clean` leaves it."""

OWNERS = (
    (r"gpt-|text-embedding-3|text-embedding-ada|o[134](-|$)|chat-latest|codex", "OpenAI"),
    (r"claude", "Anthropic"),
    (r"gemini|gemma|learnlm", "Google"),
    (r"nemotron|llama-3.[13]-nemotron|cosmos|nv-", "NVIDIA"),
    (r"deepseek-r1-.*distill|deepseek", "DeepSeek"),
    (r"hermes|nous", "Nous Research"),
    (r"nomic", "Nomic AI"),
    (r"l3|l31|.*euryale|.*lunaris|.*stheno", "Sao10K"),
    (r"muse|llama", "Meta"),
    (r"(open-)?[a-z]*stral|voxtral|pixtral|mixtral|mamba-codestral|labs-leanstral", "Mistral AI"),
    (r"kimi", "Moonshot AI"),
    (r"glm|autoglm", "Z.ai"),
    (r"minimax", "MiniMax"),
    (r"qwen|qwq|text-embedding-v", "Alibaba"),
    (r"grok", "xAI"),
    (r"command|c4ai|embed-|rerank-", "Cohere"),
    (r"jamba", "AI21 Labs"),
    (r"sonar|pplx", "Perplexity"),
    (r"voyage", "Voyage AI"),
    (r"jina", "Jina AI"),
    (r"nova|titan", "Amazon"),
    (r"phi|wizardlm|mai-", "Microsoft"),
    (r"bge", "BAAI"),
    (r"e5-|multilingual-e5", "intfloat"),
    (r"palmyra", "Writer"),
    (r"mercury", "Inception"),
    (r"morph", "Morph"),
    (r"mimo", "Xiaomi"),
    (r"seed|doubao", "ByteDance"),
    (r"step-", "StepFun"),
    (r"hy\d|hunyuan", "Tencent"),
    (r"ling-|ring-", "inclusionAI"),
    (r"inkling", "Thinking Machines Lab"),
    (r"beam", "Reflection AI"),
    (r"granite", "IBM"),
    (r"trinity", "Arcee AI"),
    (r"olmo", "Ai2"),
    (r"ernie|cobuddy|paddleocr", "Baidu"),
    (r"baichuan", "Baichuan"),
    (r"kat-", "Kwaipilot"),
    (r"mythomax", "Gryphe"),
    (r"macaron", "Mind AI"),
    (r"r1v4", "Skywork"),
    (r"minicpm", "OpenBMB"),
    (r"ternary-bonsai", "Prism ML"),
    (r"tev1", "Together AI"),
    (r"lfm", "Liquid AI"),
    (r"cogito", "Deep Cogito"),
    (r"llava", "LLaVA"),
)
_BEDROCK = re.compile(r"^(?:(?:global|us|eu|apac)\.)?[a-z0-9]+\.(.+?)(?:-v\d+)?(?::\d+)?$")
_SUFFIX = re.compile(r"-(?:fp8|fp4|nvfp4|bf16|awq|tee)$")
_PREFIX = re.compile(r"^(?:nvidia|meta|fw|cohere)-(?=nemotron|llama|embed|glm|kimi|command)")


def clean(upstream: str, *, bedrock: bool = False) -> str:
    """One name for what hosts name in many ways."""
    name = upstream
    if bedrock and (found := _BEDROCK.match(name)):
        name = found[1]
    name = name.rsplit("/", 1)[-1].lower().replace("_", ".") if "/" in name else name.lower()
    name = name.replace("llama3_", "llama-3.").replace("llama-3_", "llama-3.").replace("3_3", "3.3")
    name = re.sub(r"(?<=\d)p(?=\d)", ".", name)
    name = re.sub(r"^(claude-.*)-20\d{6}$", r"\1", name.replace("llama-v3", "llama-3"))
    if bedrock:
        name = re.sub(r"llama(\d)-(\d)-(?=\d+b)", r"llama-\1.\2-", name)
        name = re.sub(r"llama(\d)-", r"llama-\1-", name)
    name = _SUFFIX.sub("", _PREFIX.sub("", name))
    return SAME.get(name, name)


def owner(model: str) -> str:
    """Who made a model. Raises: KeyError."""
    for pattern, name in OWNERS:
        if re.match(pattern, model):
            return name
    raise KeyError(model)


_UPPER = {"gpt", "glm", "ai", "vl", "moe", "it", "er", "oss", "mt", "r1", "lfm", "bge", "hy3"}
_WORDS = {
    "deepseek": "DeepSeek", "minimax": "MiniMax", "chatgpt": "ChatGPT", "mimo": "MiMo",
    "wizardlm": "WizardLM", "mythomax": "MythoMax", "qwq": "QwQ", "minicpm": "MiniCPM",
    "gpt-oss": "gpt-oss", "pplx": "pplx",
}  # fmt: skip


def title(model: str) -> str:
    """How pages show a model: its id, written as names are."""
    name = re.sub(r"-(20\d\d)-(\d\d)-(\d\d)$", r"-(\1/\2/\3)", model)
    if name.startswith("claude-"):
        name = re.sub(r"(?<=\d)-(?=\d\b)", ".", name)
    words = " ".join(_word(word) for word in name.split("-")).replace("/", "-")
    return re.sub(r"^(GPT|GLM) (?=\d)", r"\1-", words)


def _word(word: str) -> str:
    if word in _WORDS:
        return _WORDS[word]
    if word in _UPPER or re.fullmatch(r"[a-z]?\d+(\.\d+)?[a-z]?", word):
        return word if re.fullmatch(r"o\d|\d+o", word) else word.upper()
    return word[:1].upper() + word[1:]
