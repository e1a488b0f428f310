"""Heads for tests, which reveal what data they were fitted on. Use `Entry("probes:Spy")`."""

import numpy as np
from scipy.special import expit

from heads.base import Head


class Spy(Head):
    """Records the rows it was fitted on. The first column of X must hold row numbers."""

    GRID = ({"setting": 0}, {"setting": 1})

    def __init__(self, image_width, seed, setting):
        self.arguments = {"image_width": image_width, "seed": seed, "setting": setting}

    def fit(self, X, y):
        self.rows, self.labels = X[:, 0].astype(int), y
        return self

    def predict_proba(self, X):
        return np.full((len(X), 2), 0.5)


class Memoriser(Head):
    """Memorises its training rows, and predicts the label of the nearest one."""

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


class OneColumn(Head):
    """Returns one of the columns as logit, whatever it is fitted on."""

    GRID = ({"column": 0}, {"column": 1})

    def __init__(self, image_width, seed, column):
        self.column = column

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        logit = X[:, self.column].astype(float)
        return expit(np.stack([-logit, logit], axis=1))
