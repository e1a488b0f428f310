"""Heads that show what they were given. `Entry("probes:Spy")` names one."""

import numpy as np
from scipy.special import expit


class Spy:
    """Remembers which rows it was fitted on: their numbers are the first column."""

    GRID = ({"setting": 0}, {"setting": 1})

    def __init__(self, image_width, seed, setting):
        self.made = {"image_width": image_width, "seed": seed, "setting": setting}

    def fit(self, X, y):
        self.rows, self.labels = X[:, 0].astype(int), y
        return self

    def predict_proba(self, X):
        return np.full((len(X), 2), 0.5)


class Memory:
    """Knows every row it was fitted on by heart, and says the label of the nearest."""

    GRID = ({},)

    def __init__(self, image_width, seed):
        pass

    def fit(self, X, y):
        self.X, self.y = X.astype(float), y
        return self

    def predict_proba(self, X):
        distance = ((X[:, None, :] - self.X) ** 2).sum(axis=2)
        positive = np.where(self.y[distance.argmin(axis=1)] == 1, 0.99, 0.01)
        return np.stack([1 - positive, positive], axis=1)


class Told:
    """Says what one of the columns says, whatever it is fitted on."""

    GRID = ({"column": 0}, {"column": 1})

    def __init__(self, image_width, seed, column):
        self.column = column

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        logit = X[:, self.column].astype(float)
        return expit(np.stack([-logit, logit], axis=1))
