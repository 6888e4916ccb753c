"""Every knob, with its default. Other configs start from this one: ``config = attention.base_config()``.

python train.py --config=configs/base.py
"""

from typing import Any

from ml_collections.config_dict import ConfigDict


def get_config() -> Any:  # a ConfigDict, whose fields a type checker cannot know
    config: Any = ConfigDict()

    config.task = "classification"  # what is learned of a text: its class, any number of labels, a number ...; --list=task
    config.rival = "auto"  # spec of what to beat, fitted after the last update: the task's own (auto), none, linear(...)
    config.trackers = "none"  # where the run is shown as well: tensorboard + wandb(project='mine') + mlflow; --list=tracker
    # One member of the cohort per seed: initialisation, order of the examples, dropout. 0,1,2 trains three at once.
    config.seeds = (0,)

    data = config.data = ConfigDict()
    data.source = "listops"  # spec of the data set; see --list=source
    data.tokenizer = "words(pattern='whitespace')"  # spec of the tokenizer, trained on the training split; --list=tokenizer
    data.max_length = 256  # tokens kept of a text
    data.truncate = "head"  # part of a longer text that is kept: head, tail or middle
    data.segments = "none"  # what texts are cut into, for mask=document, encoder=hierarchical: none, sentences, lines, columns
    data.positions = "text"  # what positions count through: the text, or anew in each segment
    # With task=lm, whose rows are windows of max_length tokens: a stream through all documents, packed (several whole documents
    # in a window, for mask=causal & document), or documents (each alone).
    data.windows = "stream"  # rows of a language model: stream, packed or documents
    data.stride = 0  # with task=lm: tokens that a window of an evaluation asks for, the others as context; 0 for all of them
    data.seed = 0  # of all that the members share: generated data, carved-off validation, order of the shapes
    data.buckets = 4  # padded lengths at most: more means less padding and one more compilation each

    model = config.model = ConfigDict()
    model.encoder = "transformer"  # spec of the stack of layers; --list=encoder
    model.decoder = "transformer"  # with task=seq2seq: what writes a text from the encoder's states; --list=decoder
    model.mixer = "attention"  # spec of what moves information between positions; --list=mixer
    model.encoding = "sinusoidal"  # spec of how positions enter, terms joined by +; --list=encoding
    model.score = "scaled_dot"  # spec of how a query and a key are compared; --list=score
    model.normalizer = "softmax"  # spec of how scores become weights; --list=normalizer
    model.mask = "full"  # spec of who may attend to whom, terms joined by &; --list=mask
    model.pooling = "mean"  # spec of how a sequence becomes one vector; --list=pooling
    model.dim = 64  # width of the model
    model.kernel = "auto"  # how attention is computed: auto (by size and device), dense, chunked or cudnn
    model.compute_dtype = "float32"  # of the matrix products: float32 or bfloat16; weights are float32 always
    model.matmul_precision = "highest"  # of products of float32 on GPU and TPU: highest, high or default, which round; see docs
    model.vectors = ""  # pretrained word vectors: text (GloVe, word2vec, fastText), also gzipped, or .safetensors
    # Small data want less than 1, such as 0.1. Sinusoidal codes, whose channels reach 1 whatever this is, drown such words:
    # sinusoidal(scaled_words=True) makes them alike in size.
    model.embedding_init = 1.0  # standard deviation of the token embeddings at the start
    model.frozen_embeddings = False  # whether token embeddings stay as they are initialised
    model.embedding_scale = True  # with task=lm or tagging: whether embeddings are multiplied by √D; False is GPT-2's way
    model.tied = False  # with task=lm: whether the embeddings are the head's weights, too
    model.characters = 0  # with task=tagging: characters of a word that are read beside it, 16 is usual; 0 for the word alone
    model.head_gate = "none"  # gate on the pooled vector: none, residual, mult, input or residual_input
    model.head_softmax = False  # whether a softmax over the channels of the pooled vector follows, as in some tutorials
    model.head_hidden = 0  # units of a relu layer between the pooled vector and the linear layer; 0 for none

    training = config.training = ConfigDict()
    training.steps = 2000  # updates; 0 where epochs or tokens are given
    training.epochs = 0.0  # passes over the training split; 0 where steps or tokens are given
    # With task=lm and windows=stream, where an update reads batch_size * max_length tokens; numbers of updates are rounded up.
    training.tokens = 0  # tokens of all updates; 0 where steps or epochs are given
    training.batch_size = 64  # examples of one update
    training.accumulation = 1  # parts a batch is computed in, to save memory; divides batch_size
    training.optimizer = "adamw"  # spec of how gradients become steps: adamw(b2=0.98), optax(name='lamb'); --list=optimizer
    training.learning_rate = 1e-3  # peak learning rate, in (0, inf)
    training.warmup = 100  # updates over which the learning rate rises from 0; of a run of no more, a tenth, rounded down
    training.warmup_tokens = 0  # tokens over which it rises, in place of warmup, which is 0 then
    training.schedule = "cosine"  # learning rate after warmup: constant, cosine or linear, the latter two towards
    training.schedule_end = 0.0  # this share of the peak, in [0, 1)
    training.weight_decay = 0.01  # decoupled, times the learning rate, of matrices only: leaves of two axes or more
    training.decay_embeddings = True  # whether embeddings and tables of positions decay, too
    training.clip_norm = 1.0  # largest global norm of a gradient; 0 for off
    training.ema_decay = 0.0  # of the moving average of weights that is evaluated, in [0, 1); 0 for off
    training.label_smoothing = 0.0  # mass spread over all classes, in [0, 1)
    training.dropout = 0.1  # rate of dropout in the model, in [0, 1)
    training.word_dropout = 0.0  # share of tokens made unknown in training, in [0, 1)
    training.class_weights = "none"  # none, balanced (n / (C n_c)), or one number per class: 1,2.5
    training.eval_every = 200  # updates between validations; 0 for once per epoch
    training.eval_tokens = 0  # tokens between validations, in place of eval_every, which is 0 then
    training.patience = 0  # validations without a better one before a member stops; 0 for off
    training.log_every = 50  # updates between lines of metrics
    training.checkpoint_every = 0  # updates between checkpoints; 0 for with each validation
    training.checkpoint_seconds = 60.0  # seconds after which one more is due; 0 for off
    training.init_from = ""  # finished run, or what eval.py --export=FILE.safetensors wrote, to fine-tune; also --init_from
    training.continue_from = ""  # finished run to train for longer, up to `steps` in all; also --continue_from

    cohort = config.cohort = ConfigDict()
    cohort.axis = "auto"  # members under vmap, or map: one after another, bitwise as single runs; auto is map on a CPU
    cohort.halvings = 0  # times the worse half of the members stops, the last at half of the updates; for searches

    return config
