"""Which entries of the price data become offers: the hosts, and what is left out of each and why.

The rule that keeps it honest: an entry is taken when its price has a page to stand on (the entry's
own `source`) or a second source that knows it; the others are left out, but for those that
`TRUSTED` names with a reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Host:
    """One provider: where its entries are, and which of them are not offered."""

    source: str
    """The page of its prices."""
    theirs: tuple[str, ...]
    """`litellm_provider` of its entries."""
    prefix: str = ""
    second: str = ""
    """Its ids in genai-prices."""
    left_out: str = "^$"
    """Names at the provider that are not offered (searched for, in small letters)."""
    only: str = ""
    kinds: tuple[str, ...] = ("chat", "embeddings", "rerank")


HOSTS = {
    "openai": Host(
        "https://developers.openai.com/api/docs/pricing",
        ("openai",),
        second="openai",
        # Fine-tunes, models for cleared customers, and those that charge for each search.
        left_out="^ft:|cyber|daybreak|rosalind|-law$|search|ada-002-v2|computer-use|deep-research",
    ),
    "anthropic": Host(
        "https://platform.claude.com/docs/en/about-claude/pricing",
        ("anthropic",),
        second="anthropic",
        left_out="mythos",  # for chosen customers
    ),
    "gemini": Host(
        "https://ai.google.dev/gemini-api/docs/pricing",
        ("gemini",),
        "gemini/",
        second="google",
        left_out="-exp-|learnlm|gemini-gemma|lyria|robotics|deep-research|live|omni|computer-use",
    ),
    "azure-openai": Host(
        "https://azure.microsoft.com/en-us/pricing/details/azure-openai/",
        ("azure",),
        "azure/",
        second="azure",
        left_out=r"/|\d{4}-\d\d-\d\d|^ada$|gpt-3|gpt-4-|model-router|computer-use|mistral|o1-|chat-latest",
    ),
    "bedrock": Host(
        "https://aws.amazon.com/bedrock/pricing/",
        ("bedrock_converse", "bedrock"),
        second="aws",
        left_out=r"^bedrock/|j2-|jamba-instruct|command-|titan-text|llama2|claude-(v|instant|3)|canvas"
        r"|twelvelabs|^claude|^(eu|apac|au|jp|in|ca|us-gov)\.|@|mythos|3-7-sonnet|vision-7b|voxtral"
        r"|nova-2-pro-preview|openai\.gpt-[56]|xai\.|claude-opus-4-(1-)?20250",
        kinds=("chat",),
    ),
    "xai": Host(
        "https://docs.x.ai/docs/models",
        ("xai",),
        "xai/",
        second="x-ai",
        left_out="beta|experimental|gv2|build-latest|voice|^grok-code-fast$",
    ),
    "mistral": Host(
        "https://mistral.ai/pricing",
        ("mistral",),
        "mistral/",
        second="mistral",
        left_out="vibe-cli|mistral-code|zai-glm-latest|mamba|labs-|mistral-tiny|^mistral-(small|medium)$"
        "|large-4-0|medium-2604|^glm-5-2|embed-2312|embed-2505|voxtral|ministral-3-|mistral-large-3",
    ),
    "deepseek": Host(
        "https://api-docs.deepseek.com/quick_start/pricing",
        ("deepseek",),
        "deepseek/",
        second="deepseek",
        left_out="^deepseek-(coder|r1|v3|v3.2|chat|reasoner)$|exp$",
    ),
    "groq": Host(
        "https://groq.com/pricing",
        ("groq",),
        "groq/",
        second="groq",
        left_out="guard-2|llama-guard",
    ),
    "cerebras": Host(
        "https://www.cerebras.ai/pricing",
        ("cerebras",),
        "cerebras/",
        second="cerebras",
        left_out="^llama",
    ),
    "sambanova": Host(
        "https://cloud.sambanova.ai/plans/pricing",
        ("sambanova",),
        "sambanova/",
        second="huggingface_sambanova",
    ),
    "perplexity": Host(
        "https://docs.perplexity.ai/getting-started/pricing",
        ("perplexity",),
        "perplexity/",
        second="perplexity",
        # It has no chat completions any more, and resells others' models for responses.
        only="^(perplexity/sonar|pplx-embed-v1-.*)$",
    ),
    "cohere": Host(
        "https://cohere.com/pricing",
        ("cohere", "cohere_chat"),
        second="cohere",
        left_out="aya|^rerank",
    ),
    "cohere-v2": Host(
        "https://cohere.com/pricing",
        ("cohere",),
        second="cohere",
        only="^rerank-v[45]|^rerank-v3.5",
    ),
    "ai21": Host("https://www.ai21.com/pricing/", ("ai21",), only="^jamba-(large|mini)-1.7$"),
    "moonshot": Host(
        "https://platform.kimi.ai/docs/pricing/chat",
        ("moonshot",),
        "moonshot/",
        second="moonshotai",
    ),
    "zai": Host("https://docs.z.ai/guides/overview/pricing", ("zai",), "zai/", second="zai"),
    "minimax": Host(
        "https://platform.minimax.io/docs/pricing/overview",
        ("minimax",),
        "minimax/",
        second="minimax",
    ),
    "alibaba": Host(
        "https://www.alibabacloud.com/help/en/model-studio/models",
        ("dashscope",),
        "dashscope/",
        left_out="^qwen-coder$|qwq-plus|^(kimi|glm|deepseek)",
    ),
    "voyage": Host(
        "https://docs.voyageai.com/docs/pricing",
        ("voyage",),
        "voyage/",
        second="voyageai",
        only=r"^voyage-(3|4|3\.5|code-3|code-4|finance-2|law-2)(-large|-lite)?$",
        kinds=("embeddings",),
    ),
    "jina": Host("https://jina.ai/reranker/", ("jina_ai",)),
    "meta-ai": Host(
        "https://dev.meta.ai/docs/pricing-rate-limits",
        ("meta",),
        "meta/",
        second="meta",
        left_out="contributor",
    ),
    "morph": Host("https://www.morphllm.com/pricing", ("morph",), "morph/", left_out="abliterated"),
    "inception": Host(
        "https://docs.inceptionlabs.ai/get-started/models", ("inception",), "inception/"
    ),
    "together": Host(
        "https://www.together.ai/pricing",
        ("together_ai",),
        "together_ai/",
        second="together huggingface_together",
        left_out="^together-ai-|^together/|arize|-fp4|guard",
    ),
    "deepinfra": Host(
        "https://deepinfra.com/pricing",
        ("deepinfra",),
        "deepinfra/",
        # Resold models of providers that are asked themselves.
        left_out="^anthropic/|gemini|ocr|guard|content-safety",
    ),
    "fireworks": Host(
        "https://docs.fireworks.ai/serverless/pricing",
        ("fireworks_ai", "fireworks_ai-embedding-models"),
        "fireworks_ai/",
        second="fireworks huggingface_fireworks-ai",
        left_out=r"-us$|-spot$|-basic$|-hf$|ocr|guard|yi-large|firefunction|coder-v2|ultramarine"
        r"|ember|uae-|gte-|^(?!accounts/|nomic)|-long$",
    ),
    "nebius": Host(
        "https://nebius.com/prices",
        ("nebius",),
        "nebius/",
        second="huggingface_nebius",
        left_out="guard|qwen2-vl|coder-7b$|llama-3_1-nemotron",
    ),
    "novita": Host(
        "https://novita.ai/pricing",
        ("novita",),
        "novita/",
        second="novita huggingface_novita",
        left_out="ocr|/community$|guard|autoglm|qwen-mt|_v3$|r1v4|glm-4.7-h$",
    ),
    "friendli": Host(
        "https://friendli.ai/docs/guides/serverless_endpoints/pricing",
        ("friendliai",),
        "friendliai/",
    ),
    "scaleway": Host(
        "https://www.scaleway.com/en/pricing/model-as-a-service/",
        ("scaleway",),
        "scaleway/",
        left_out="^(qwen|openai|google|mistralai|baai|meta)/",  # the slash is not in its own names
    ),
    "ovhcloud": Host(
        "https://www.ovhcloud.com/en/public-cloud/ai-endpoints/catalog/",
        ("ovhcloud",),
        "ovhcloud/",
        second="ovhcloud",
        left_out="llava|mamba",
    ),
    "baseten": Host("https://www.baseten.co/pricing/", ("baseten",), "baseten/", second="baseten"),
    "azure-foundry": Host(
        "https://azure.microsoft.com/en-us/pricing/details/ai-foundry-models/",
        ("azure_ai",),
        "azure_ai/",
        left_out="^(gpt|claude|fw-|cohere|embed)|router|latest$|\\d{4}-\\d\\d-\\d\\d|cyber",
    ),
    "cloudflare": Host(
        "https://developers.cloudflare.com/workers-ai/platform/pricing/",
        ("cloudflare",),
        "cloudflare/",
        second="cloudflare",
        left_out="llama-2|lora|guard|clef|clairic|^(?!@cf/)",
    ),
    "xiaomi": Host(
        "https://platform.xiaomimimo.com/static/docs/price/pay-as-you-go.md",
        ("xiaomi_mimo",),
        "xiaomi_mimo/",
    ),
    "wandb": Host("https://wandb.ai/site/pricing/tokens/", ("wandb",), "wandb/"),
    "tencent": Host(
        "https://www.tencentcloud.com/document/product/1300/78937", ("tencent",), "tencent/"
    ),
}

DISPUTED = re.compile(
    # The sources have prices of different models under one name.
    r"mistral:(mistral-large-(4|latest)|magistral-.*|open-mistral-nemo)|xai:grok-code-fast.*"
    # Prices of one region, it seems.
    r"|azure-openai:text-embedding-.*"
)
"""Left out whatever they say, until it is known who is right."""

EXPLAINED = {
    "bedrock": "the second has regional profiles, a tenth dearer than the global ones we ask",
    "nebius": "the second has the fast variant",
    "ovhcloud": "the first has euros",
}
"""Why the sources differ at a provider, where that is known."""
SECOND_RIGHT = {"ovhcloud"}
"""Where the second source's amount is taken when they differ, and nothing without it."""

TRUSTED = re.compile(
    # The maker's own price list has these, and it is the page of its other entries.
    r"cohere:(embed-|rerank-).*|cohere-v2:.*|ai21:.*|minimax:.*|mistral:.*"
    # Among the few hosts of these, at the price of its public list.
    r"|novita:(baai/.*|qwen/qwen3-(embedding|reranker).*)"
)
FREE = {"zai:glm-4.7-flash", "zai:glm-4.5-flash"}
"""Free on the provider's own page. Any other price of nothing is one that the data lack."""


def wanted(provider: str, upstream: str) -> bool:
    """Whether a name at a provider may be offered at all."""
    host, name = HOSTS[provider], upstream.lower()
    if host.only and not re.search(host.only, name):
        return False
    return not re.search(host.left_out, name)
