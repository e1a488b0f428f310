"""The SVM is that of scikit-learn, although its kernel is computed in blocks here."""

import numpy as np
import planted
from scipy.special import logit
from sklearn.svm import SVC

from heads.svm import MARGIN_TO_LOGIT, SvmHead


def test_margins_equal_those_of_scikit_learn(monkeypatch):
    monkeypatch.setattr("heads.svm.KERNEL_ROWS", 64)
    X, y = planted.problem("xor", 400, 0, strength=3.0)
    # Far from zero, where differences of large numbers could lose digits.
    X += 20
    fitted, new = slice(0, 300), slice(300, None)
    margins = SVC(C=1.0).fit(X[fitted].astype(float), y[fitted]).decision_function(X[new])
    probability = SvmHead().fit(X[fitted], y[fitted]).predict_proba(X[new])[:, 1]
    np.testing.assert_allclose(logit(probability) / MARGIN_TO_LOGIT, margins, atol=1e-3)
