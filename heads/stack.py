"""Stacking: logistic regression on the logits of other heads in each kind of space."""

from typing import ClassVar

from heads.linear import LinearHead


class StackHead(LinearHead):
    """A linear head on logits (Wolpert 1992, Stacked Generalization).

    Spaces share no coordinates, so only probabilities can be combined across them. This head learns
    the weights of the fine-tuned, the pretrained and the lexical spaces.
    """

    GRID: ClassVar = [{"C": c} for c in (0.01, 0.1, 1.0)]
