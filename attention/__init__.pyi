"""The public names of the library, by kind. Written by ``python -m tools.stubs``."""
# ruff: noqa: I001

from typing import Any, Literal, overload

from attention.attend import attend as attend
from attention.attention_fn import attention_fn as attention_fn
from attention.commands.sweep import sweep as sweep
from attention.commands.train import train as train
from attention.decoding import beam as beam, greedy as greedy
from attention.dropout import dropout as dropout
from attention.evaluation import load as load
from attention.layer import Layer as Layer, Stack as Stack, layer as layer, stack as stack
from attention.records import (
    Call as Call,
    Context as Context,
    Dims as Dims,
    Encoding as Encoding,
    Mask as Mask,
    Mixer as Mixer,
    Normalizer as Normalizer,
    Parts as Parts,
    Pooled as Pooled,
    Pooling as Pooling,
    Score as Score,
)
from attention.recurrent import gru as gru, lstm as lstm
from attention.specs import canonical as canonical, describe as describe, names as names
from attention.training.config_files import base_config as base_config

# encoding
from attention.encodings.alibi import alibi_bias as alibi_bias, alibi_sides as alibi_sides, alibi_slopes as alibi_slopes
from attention.encodings.axial import axial_positions as axial_positions
from attention.encodings.cape import cape_positions as cape_positions
from attention.encodings.complex_order import complex_order as complex_order
from attention.encodings.cope import cope_positions as cope_positions, interpolated as interpolated
from attention.encodings.cpb import log_spaced as log_spaced
from attention.encodings.cpe import depthwise_convolution as depthwise_convolution
from attention.encodings.dape import dape_scores as dape_scores
from attention.encodings.deberta import deberta_buckets as deberta_buckets
from attention.encodings.fire import fire_share as fire_share
from attention.encodings.fope import fope as fope
from attention.encodings.fox import forgetting_bias as forgetting_bias
from attention.encodings.gaussian import gaussian_bias as gaussian_bias
from attention.encodings.index import index_positions as index_positions
from attention.encodings.kerple import kerple_bias as kerple_bias
from attention.encodings.learned import look_up_positions as look_up_positions
from attention.encodings.learned_fourier import learned_fourier as learned_fourier
from attention.encodings.linear import linear_positions as linear_positions
from attention.encodings.music import music_terms as music_terms
from attention.encodings.p_rope import p_rope as p_rope
from attention.encodings.pope import pope as pope
from attention.encodings.randomized import randomized_positions as randomized_positions
from attention.encodings.rel_matrix import rel_matrix as rel_matrix
from attention.encodings.rope import rope as rope, rope_frequencies as rope_frequencies
from attention.encodings.sandwich import sandwich_bias as sandwich_bias
from attention.encodings.shaw import clipped_distance as clipped_distance
from attention.encodings.sin_cos_sum import sin_cos_sum as sin_cos_sum
from attention.encodings.sin_half_period import sin_half_period as sin_half_period
from attention.encodings.sin_period_d import sin_period_d as sin_period_d
from attention.encodings.sinusoidal import sinusoidal as sinusoidal
from attention.encodings.t5 import t5_buckets as t5_buckets
from attention.encodings.table import table_bias as table_bias
from attention.encodings.tener import tener_terms as tener_terms
from attention.encodings.tisa import tisa_bias as tisa_bias
from attention.encodings.transformer_xl import transformer_xl_terms as transformer_xl_terms
from attention.encodings.tupe import tupe_untied as tupe_untied
from attention.encodings.xpos import xpos as xpos

# normalizer
from attention.normalizers.adaptive_temp import adaptive_temp as adaptive_temp
from attention.normalizers.budget import budget as budget
from attention.normalizers.clipped import clipped as clipped
from attention.normalizers.cog import cog as cog
from attention.normalizers.differential import differential as differential
from attention.normalizers.double_norm import double_norm as double_norm
from attention.normalizers.entmax import entmax as entmax
from attention.normalizers.entmax15 import entmax15 as entmax15
from attention.normalizers.gumbel import gumbel as gumbel
from attention.normalizers.hard import hard as hard
from attention.normalizers.l1_positive import l1_positive as l1_positive
from attention.normalizers.laplace import laplace as laplace
from attention.normalizers.log_length import log_length as log_length
from attention.normalizers.log_softmax import log_softmax as log_softmax
from attention.normalizers.normmax import normmax as normmax
from attention.normalizers.pointwise import pointwise as pointwise
from attention.normalizers.pos_temp import pos_temp as pos_temp
from attention.normalizers.qk_norm import layer_normalized as layer_normalized, rms_normalized as rms_normalized
from attention.normalizers.rela import gated_rms_norm as gated_rms_norm
from attention.normalizers.selective import selective as selective
from attention.normalizers.sigmoid import sigmoid as sigmoid
from attention.normalizers.sink import sink as sink
from attention.normalizers.sinkhorn import sinkhorn as sinkhorn
from attention.normalizers.slot import slot as slot
from attention.normalizers.softcap import softcap as softcap
from attention.normalizers.softmax import softmax as softmax
from attention.normalizers.softmax1 import softmax1 as softmax1
from attention.normalizers.softpick import softpick as softpick
from attention.normalizers.sparsemax import sparsemax as sparsemax
from attention.normalizers.spherical import spherical as spherical
from attention.normalizers.ssmax import ssmax as ssmax
from attention.normalizers.stick_breaking import stick_breaking as stick_breaking
from attention.normalizers.sum_norm import sum_norm as sum_norm
from attention.normalizers.taylor import taylor as taylor
from attention.normalizers.topk import topk as topk

# score
from attention.scores.activated import activated_scores as activated_scores
from attention.scores.additive import additive_scores as additive_scores
from attention.scores.additive_norm import additive_norm_scores as additive_norm_scores
from attention.scores.concat import concat_scores as concat_scores
from attention.scores.cosine import cosine_scores as cosine_scores, unit as unit
from attention.scores.dot import dot_scores as dot_scores
from attention.scores.general import general_scores as general_scores
from attention.scores.l2 import l2_scores as l2_scores
from attention.scores.linear import linear_scores as linear_scores
from attention.scores.location import location_scores as location_scores
from attention.scores.low_rank import low_rank_scores as low_rank_scores
from attention.scores.scaled_dot import scaled_dot_scores as scaled_dot_scores
from attention.scores.synthesizer import (
    dense_synthesizer_scores as dense_synthesizer_scores,
    random_synthesizer_scores as random_synthesizer_scores,
)
from attention.scores.trilinear import trilinear_scores as trilinear_scores

# mask
from attention.masks.bigbird import bigbird_mask as bigbird_mask, bigbird_random_blocks as bigbird_random_blocks
from attention.masks.block_local import block_local_mask as block_local_mask
from attention.masks.causal import causal_mask as causal_mask
from attention.masks.dilated import dilated_mask as dilated_mask
from attention.masks.document import document_mask as document_mask
from attention.masks.local import local_mask as local_mask
from attention.masks.longformer import longformer_mask as longformer_mask
from attention.masks.prefix_lm import prefix_lm_mask as prefix_lm_mask
from attention.masks.strided import fixed_mask as fixed_mask, strided_mask as strided_mask

# mixer
from attention.mixers.aft import aft_full as aft_full, aft_simple as aft_simple
from attention.mixers.attention import output_gate as output_gate
from attention.mixers.cosformer import cosformer_attention as cosformer_attention
from attention.mixers.efficient import efficient_attention as efficient_attention
from attention.mixers.fnet import fourier_mixing as fourier_mixing
from attention.mixers.gau import gated_attention_unit as gated_attention_unit
from attention.mixers.latent_attention import latent_heads as latent_heads
from attention.mixers.linear import elu_features as elu_features, linear_attention as linear_attention
from attention.mixers.linformer import linformer_attention as linformer_attention, linformer_project as linformer_project
from attention.mixers.nystrom import (
    iterated_inverse as iterated_inverse,
    landmark_means as landmark_means,
    nystrom_attention as nystrom_attention,
)
from attention.mixers.performer import (
    orthogonal_gaussian as orthogonal_gaussian,
    performer_attention as performer_attention,
    performer_features as performer_features,
)

# pooling
from attention.poolings.additive import additive_pool as additive_pool
from attention.poolings.cls import cls_pool as cls_pool
from attention.poolings.feed_forward import feed_forward_pool as feed_forward_pool
from attention.poolings.first import first_pool as first_pool
from attention.poolings.gem import gem_pool as gem_pool
from attention.poolings.last import last_pool as last_pool
from attention.poolings.logsumexp import logsumexp_pool as logsumexp_pool
from attention.poolings.map import map_pool as map_pool
from attention.poolings.max import max_pool as max_pool
from attention.poolings.mean import mean_pool as mean_pool
from attention.poolings.mean_sqrt import mean_sqrt_pool as mean_sqrt_pool
from attention.poolings.query import query_pool as query_pool
from attention.poolings.structured import structured_penalty as structured_penalty, structured_pool as structured_pool
from attention.poolings.sum import sum_pool as sum_pool
from attention.poolings.weighted_mean import weighted_mean_pool as weighted_mean_pool

# gate
from attention.gates.input import input_gate as input_gate
from attention.gates.mult import mult_gate as mult_gate
from attention.gates.residual import residual_gate as residual_gate
from attention.gates.residual_input import residual_input_gate as residual_input_gate

from . import arguments as arguments
from . import broadcast as broadcast
from . import caches as caches
from . import carries as carries
from . import commands as commands
from . import compatibility as compatibility
from . import data as data
from . import decoders as decoders
from . import decoding as decoding
from . import documents as documents
from . import encoders as encoders
from . import encodings as encodings
from . import equinox as equinox
from . import evaluation as evaluation
from . import files as files
from . import gates as gates
from . import heads as heads
from . import heartbeat as heartbeat
from . import installation as installation
from . import kernels as kernels
from . import lab as lab
from . import linen as linen
from . import masks as masks
from . import messages as messages
from . import metrics as metrics
from . import mixers as mixers
from . import models as models
from . import module_inputs as module_inputs
from . import nnx as nnx
from . import normalizers as normalizers
from . import optimizers as optimizers
from . import placement as placement
from . import poolings as poolings
from . import positions as positions
from . import precision as precision
from . import projected as projected
from . import records as records
from . import recurrent as recurrent
from . import rivals as rivals
from . import runs as runs
from . import sampling as sampling
from . import scores as scores
from . import signatures as signatures
from . import specs as specs
from . import tasks as tasks
from . import tensors as tensors
from . import text_table as text_table
from . import training as training

from attention.data.contracts import Source as _Source
from attention.data.contracts import Tokenizer as _Tokenizer
from attention.decoders._decoder import Decoder as _Decoder
from attention.encoders._modules import Encoder as _Encoder
from attention.kernels import Kernel as _Kernel
from attention.lab.executors import Executor as _Executor
from attention.optimizers._optimizer import Optimizer as _Optimizer
from attention.records.layers import Gate as _Gate
from attention.rivals import Rival as _Rival
from attention.runs.trackers import Tracker as _Tracker
from attention.tasks import Task as _Task
from attention.specs import Spec as _Spec

__version__: str
PURE_KINDS: tuple[str, ...]

@overload
def build(kind: Literal["encoding"], spec: str | _Spec) -> Encoding: ...
@overload
def build(kind: Literal["normalizer"], spec: str | _Spec) -> Normalizer: ...
@overload
def build(kind: Literal["score"], spec: str | _Spec) -> Score: ...
@overload
def build(kind: Literal["mask"], spec: str | _Spec) -> Mask: ...
@overload
def build(kind: Literal["mixer"], spec: str | _Spec) -> Mixer: ...
@overload
def build(kind: Literal["pooling"], spec: str | _Spec) -> Pooling: ...
@overload
def build(kind: Literal["gate"], spec: str | _Spec) -> _Gate: ...
@overload
def build(kind: Literal["kernel"], spec: str | _Spec) -> _Kernel: ...
@overload
def build(kind: Literal["encoder"], spec: str | _Spec) -> _Encoder: ...
@overload
def build(kind: Literal["decoder"], spec: str | _Spec) -> _Decoder: ...
@overload
def build(kind: Literal["source"], spec: str | _Spec) -> _Source: ...
@overload
def build(kind: Literal["tokenizer"], spec: str | _Spec) -> _Tokenizer: ...
@overload
def build(kind: Literal["task"], spec: str | _Spec) -> _Task: ...
@overload
def build(kind: Literal["rival"], spec: str | _Spec) -> _Rival: ...
@overload
def build(kind: Literal["optimizer"], spec: str | _Spec) -> _Optimizer: ...
@overload
def build(kind: Literal["tracker"], spec: str | _Spec) -> _Tracker: ...
@overload
def build(kind: Literal["executor"], spec: str | _Spec) -> _Executor: ...
@overload
def build(kind: str, spec: str | _Spec) -> Any: ...
