"""What the contract of each kind asks of a variant: one NamedTuple per kind, the ``evidence`` of its row.

A reference is written in NumPy float64 from the formula and knows nothing of the library. ``errors`` maps specs that are
refused to a regular expression of the message; ``oracles`` is a function that imports other packages and returns their
witnesses by name, or says why there is none.
"""

from tests.support.evidence.attention import EncodingCase as EncodingCase
from tests.support.evidence.attention import EncodingEvidence as EncodingEvidence
from tests.support.evidence.attention import GateCase as GateCase
from tests.support.evidence.attention import GateEvidence as GateEvidence
from tests.support.evidence.attention import KernelEvidence as KernelEvidence
from tests.support.evidence.attention import Law as Law
from tests.support.evidence.attention import NormalizerCase as NormalizerCase
from tests.support.evidence.attention import NormalizerEvidence as NormalizerEvidence
from tests.support.evidence.attention import ScoreCase as ScoreCase
from tests.support.evidence.attention import ScoreEvidence as ScoreEvidence
from tests.support.evidence.layers import DecoderCase as DecoderCase
from tests.support.evidence.layers import DecoderEvidence as DecoderEvidence
from tests.support.evidence.layers import EncoderCase as EncoderCase
from tests.support.evidence.layers import EncoderEvidence as EncoderEvidence
from tests.support.evidence.layers import MaskCase as MaskCase
from tests.support.evidence.layers import MaskEvidence as MaskEvidence
from tests.support.evidence.layers import MixerCase as MixerCase
from tests.support.evidence.layers import MixerEvidence as MixerEvidence
from tests.support.evidence.layers import PoolingCase as PoolingCase
from tests.support.evidence.layers import PoolingEvidence as PoolingEvidence
from tests.support.evidence.training import ExecutorEvidence as ExecutorEvidence
from tests.support.evidence.training import Lengths as Lengths
from tests.support.evidence.training import OptimizerCase as OptimizerCase
from tests.support.evidence.training import OptimizerEvidence as OptimizerEvidence
from tests.support.evidence.training import RivalEvidence as RivalEvidence
from tests.support.evidence.training import SourceCase as SourceCase
from tests.support.evidence.training import SourceEvidence as SourceEvidence
from tests.support.evidence.training import TaskEvidence as TaskEvidence
from tests.support.evidence.training import TokenizerEvidence as TokenizerEvidence
from tests.support.evidence.training import TrackerEvidence as TrackerEvidence
