"""
Learnable counterfactual attention (LCA) for any PyTorch network.

    network = MyNetwork()                       # has encode, attention, decode, new_attention
    training = Counterfactual(network, "learned")
    terms = loss_terms(training(x), target)     # six scalars, by name
    loss = total_loss(terms, schedule.at(epoch))

Nothing here knows of audio. After training, keep `network` and forget the rest.
"""

from whosings.lca.counterfactual import (
    Branches,
    BranchKind,
    Counterfactual,
    LearnedAttention,
    RandomAttention,
)
from whosings.lca.losses import (
    MAXIMISED,
    Effect,
    LossWeights,
    TwoStepSchedule,
    effect_logits,
    entropy,
    loss_terms,
    total_loss,
)
from whosings.lca.network import AttentionNetwork, row_dropout

__all__ = [
    "MAXIMISED",
    "AttentionNetwork",
    "BranchKind",
    "Branches",
    "Counterfactual",
    "Effect",
    "LearnedAttention",
    "LossWeights",
    "RandomAttention",
    "TwoStepSchedule",
    "effect_logits",
    "entropy",
    "loss_terms",
    "row_dropout",
    "total_loss",
]
