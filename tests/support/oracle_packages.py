"""The packages of requirements-oracles.txt. What they warn of one another as they are imported is theirs to mend."""

# ruff: noqa: F401
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import entmax
    import jaxopt
    import ot
    import torch
    import torch.nn.functional as F
    from scalable_softmax import ScalableSoftmax
    from torch.nn.attention.flex_attention import flex_attention
    from transformers.activations import ACT2FN, LaplaceActivation
    from transformers.models.cohere.modeling_cohere import CohereAttention, CohereConfig
    from transformers.models.diffllama.modeling_diffllama import DiffLlamaAttention, DiffLlamaConfig
    from transformers.models.gemma2 import modeling_gemma2 as gemma2
    from transformers.models.gpt_oss import modeling_gpt_oss as gpt_oss
    from transformers.models.llama4.modeling_llama4 import Llama4TextAttention, Llama4TextConfig
    from transformers.models.olmo2.modeling_olmo2 import Olmo2Attention, Olmo2Config
    from transformers.models.qwen3.modeling_qwen3 import Qwen3Attention, Qwen3Config
    from transformers.models.siglip.modeling_siglip import SiglipMultiheadAttentionPoolingHead, SiglipVisionConfig
    from transformers.models.swinv2.modeling_swinv2 import Swinv2Config, Swinv2SelfAttention
    from x_transformers import attend as x_attend
    from x_transformers.x_transformers import l2norm as x_l2norm
