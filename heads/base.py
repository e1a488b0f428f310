"""What every head shares."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin


class Head(ClassifierMixin, BaseEstimator):
    """A binary classifier with `predict_proba`; its tuned threshold lives outside it."""

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Label of each row at 0.5: (N,)."""
        return self.classes_[(self.predict_proba(X)[:, 1] > 0.5).astype(int)]
