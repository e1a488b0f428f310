"""Prior shift: adjust probabilities to a test set with another share of positives than train."""

import numpy as np


def shift_prior(probability: np.ndarray, trained: float, wanted: float) -> np.ndarray:
    """Adjust probabilities (N,) from the share of positives `trained` to `wanted`, both in (0, 1).

    Bayes' rule with unchanged class-conditional densities: Saerens, Latinne and Decaestecker
    (2002), Adjusting the Outputs of a Classifier to New a Priori Probabilities, equation 2.4.
    """
    positive = probability * wanted / trained
    negative = (1 - probability) * (1 - wanted) / (1 - trained)
    return positive / (positive + negative)


def class_weights(label: np.ndarray, trained: float, wanted: float) -> np.ndarray:
    """Return row weights (N,) that turn the share of positives `trained` into `wanted`."""
    return np.where(label == 1, wanted / trained, (1 - wanted) / (1 - trained))
