"""Packages that only mixers are compared with. What they warn of as they are imported is theirs to mend."""

# ruff: noqa: F401
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from linear_attention_transformer.linear_attention_transformer import linear_attn
    from linformer.linformer import LinformerSelfAttention
    from nystrom_attention import NystromAttention
    from performer_pytorch import performer_pytorch as performer
    from transformers.models.deepseek_v2.modeling_deepseek_v2 import DeepseekV2Attention, DeepseekV2Config
    from transformers.models.fnet.modeling_fnet import FNetBasicFourierTransform, FNetConfig
