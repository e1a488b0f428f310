"""Stacking of scalars: logistic regression on what other heads say in each kind of space."""

from typing import ClassVar

from heads.linear import LinearHead


class StackHead(LinearHead):
    """A linear head on logits (Wolpert 1992, Stacked Generalization).

    Spaces share no coordinates, so nothing but probabilities can cross them; here the weights of
    the fine-tuned, the pretrained and the lexical say are learned.
    """

    GRID: ClassVar = [{"C": c} for c in (0.01, 0.1, 1.0)]
